"""The architectures that tasks list by name are those of transformers, whose next release may have more."""

from transformers.models.auto import modeling_auto

from jobs import checkpoints
from jobs.tasks import TASKS

NOT_SERVED = {
    "EvollaForProteinText2Text",  # of proteins
    "Mistral4ForCausalLM",  # of texts
    "OmDetTurboForObjectDetection",  # transformers' pipeline cannot run it either: it reads other inputs
    "PI0ForConditionalGeneration",  # of robots
    "VideoPrismClipModel",  # of videos
}


def test_all_architectures_of_transformers_are_known() -> None:
    for names, task in (
        (modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, "image-text-to-text"),
        (
            modeling_auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES,
            "zero-shot-image-classification",
        ),
        (modeling_auto.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES, "zero-shot-object-detection"),
        (modeling_auto.MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING_NAMES, "document-question-answering"),
    ):
        known = TASKS[task].heads
        assert {name for name in names.values() if not name.endswith(known)} <= NOT_SERVED
        for name in names.values():
            config = {"architectures": [name]}
            if name not in NOT_SERVED:
                assert checkpoints.mismatch(config, task) is None
                if name != "VisionEncoderDecoderModel":
                    assert checkpoints.task_of(config, sentence_vectors=False) == task
