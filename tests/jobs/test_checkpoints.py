"""Reading a checkpoint's task from its files."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs import checkpoints
from jobs.errors import ConfigurationError

NLI = {"0": "contradiction", "1": "neutral", "2": "Entailment"}


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "text-classification"),
        ("XLMRobertaForTokenClassification", "token-classification"),
        ("DistilBertForMaskedLM", "fill-mask"),
        ("LlamaForCausalLM", "text-generation"),
        ("GPT2LMHeadModel", "text-generation"),
        ("BertModel", "feature-extraction"),
        ("TapasForQuestionAnswering", "table-question-answering"),
        ("ChineseCLIPModel", "zero-shot-image-classification"),
        ("OwlViTForObjectDetection", "zero-shot-object-detection"),
        ("ViltForQuestionAnswering", "visual-question-answering"),
        ("LayoutLMForQuestionAnswering", "document-question-answering"),
        ("LlavaForConditionalGeneration", "image-text-to-text"),
        ("GitForCausalLM", "image-text-to-text"),
        ("WhisperForConditionalGeneration", "automatic-speech-recognition"),
        ("Wav2Vec2ForCTC", "automatic-speech-recognition"),
        ("Wav2Vec2ForSequenceClassification", "audio-classification"),
        ("ASTForAudioClassification", "audio-classification"),
        ("ClapModel", "zero-shot-audio-classification"),
        ("VitsModel", "text-to-audio"),
        ("MusicgenForConditionalGeneration", "text-to-audio"),
        ("RobertaForQuestionAnswering", "question-answering"),
        ("XLNetForQuestionAnsweringSimple", "question-answering"),
        ("ViTForImageClassification", "image-classification"),
        ("DetrForObjectDetection", "object-detection"),
        ("SegformerForSemanticSegmentation", "image-segmentation"),
        ("MaskFormerForInstanceSegmentation", "image-segmentation"),
        ("Mask2FormerForUniversalSegmentation", "image-segmentation"),
        ("DetrForSegmentation", "image-segmentation"),
        ("SamModel", "mask-generation"),
        ("DepthAnythingForDepthEstimation", "depth-estimation"),
        ("LightGlueForKeypointMatching", "keypoint-matching"),
        ("VideoMAEForVideoClassification", "video-classification"),
    ],
)
def test_the_architecture_says_the_task(architecture: str, task: str) -> None:
    assert checkpoints.task_of({"architectures": [architecture]}, sentence_vectors=False) == task
    assert checkpoints.mismatch({"architectures": [architecture]}, task) is None


def test_a_model_without_a_head_is_for_what_it_reads() -> None:
    vit = {"architectures": ["ViTModel"], "num_channels": 3, "image_size": 224}
    assert checkpoints.task_of(vit, sentence_vectors=False) == "image-feature-extraction"
    assert checkpoints.task_of(vit | {"vocab_size": 9}, sentence_vectors=False) == "feature-extraction"
    for task in ("feature-extraction", "image-feature-extraction"):
        assert checkpoints.mismatch(vit, task) is None


@pytest.mark.parametrize(
    "config", [{}, {"architectures": ["BertModel"]}, {"architectures": ["BertForMaskedLM"]}]
)
def test_sentence_transformers_make_vectors(config: dict[str, Any]) -> None:
    assert checkpoints.task_of(config, sentence_vectors=True) == "feature-extraction"


@pytest.mark.parametrize(
    ("kind", "named", "task"),
    [
        ("t5", {"summarization": {}, "translation_en_to_de": {}}, "text2text-generation"),
        ("t5", None, "text2text-generation"),
        ("bart", {"summarization": {}}, "summarization"),
        ("bart", {"conversational": {}}, "text2text-generation"),
        ("mbart", {"translation_en_to_ro": {}, "translation_ro_to_en": {}}, "translation"),
        ("pegasus", None, "summarization"),
    ],
)
def test_a_model_of_texts_for_texts_may_name_its_task(kind: str, named: Any, task: str) -> None:
    config = {
        "architectures": ["XForConditionalGeneration"],
        "model_type": kind,
        "task_specific_params": named,
    }
    assert checkpoints.task_of(config, sentence_vectors=False) == task
    assert checkpoints.mismatch(config, "summarization") is None


@pytest.mark.parametrize("vectors", [False, True])
def test_labels_of_entailment_are_for_zero_shot(vectors: bool) -> None:
    config = {"architectures": ["BartForSequenceClassification"], "id2label": NLI}
    assert checkpoints.task_of(config, sentence_vectors=vectors) == "zero-shot-classification"


def test_one_label_may_be_the_score_of_a_pair() -> None:
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    with pytest.raises(ConfigurationError, match=r"\(text-classification\) or of a pair \(text-ranking\)"):
        checkpoints.task_of(config, sentence_vectors=False)
    ranking = config | {"sentence_transformers": {"version": "4"}}
    assert checkpoints.task_of(ranking, sentence_vectors=True) == "text-ranking"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "names no architecture"),
        ({"architectures": None}, "names no architecture"),
        ({"architectures": []}, "names no architecture"),
        ({"architectures": "BertModel"}, "names no architecture"),
        ({"architectures": ["T5ForSomethingElse"]}, "it is a T5ForSomethingElse, which no task"),
        (
            {"architectures": ["NewForConditionalGeneration"], "model_type": "new"},
            "it is a NewForConditionalGeneration, which no task",
        ),
        (
            {"architectures": ["VisionEncoderDecoderModel"]},
            "which may be for document-question-answering or image-text-to-text",
        ),
    ],
)
def test_what_is_not_known_is_not_guessed(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        checkpoints.task_of(config, sentence_vectors=False)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"config\.json (is not valid JSON|must contain)"):
        checkpoints.read_config(path)
    path.write_text(json.dumps({"architectures": ["X"]}))
    assert checkpoints.read_config(path) == {"architectures": ["X"]}


def test_a_chat_template_is_a_file_or_in_the_configuration(tmp_path: Path) -> None:
    assert not checkpoints.has_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 512}')
    assert not checkpoints.has_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert checkpoints.has_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert checkpoints.has_chat_template(tmp_path)
