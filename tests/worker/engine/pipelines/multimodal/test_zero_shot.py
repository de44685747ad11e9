"""Labels that a request names: scores and boxes are those that transformers gives each image alone."""

from typing import Any

import pytest
import transformers

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline
from tests.worker.engine.pipelines.pictures import BROKEN, PICTURES, encoded, opened, picture

LABELS = ["a bridge", "paper", "the town in winter"]
DETECTION = "zero-shot-object-detection"
CLASSIFICATION = "zero-shot-image-classification"


def alone(folder: Any, task: str, **parameters: Any) -> list[Any]:
    plain = plain_pipeline(folder, task)
    return [plain(opened(data), **parameters) for data in PICTURES]


@pytest.mark.parametrize("template", [None, "{} , example"])
@pytest.mark.parametrize("model", [CLASSIFICATION, "siglip"])
def test_scores_are_those_of_each_image_alone(
    model_folder: ModelFolder, model: str, template: str | None
) -> None:
    folder = model_folder(model)
    parameters: dict[str, Any] = {"candidate_labels": LABELS}
    if template is not None:
        parameters["hypothesis_template"] = template
    outputs = load(folder, CLASSIFICATION).run(PICTURES, parameters)
    assert_same(outputs, alone(folder, CLASSIFICATION, **parameters))
    assert len({output[0]["score"] for output in outputs}) == len(PICTURES), "or the model sees nothing"


def test_labels_are_read_once_for_all_images(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder(CLASSIFICATION), CLASSIFICATION)
    texts: list[int] = []
    pipeline.model.text_model.register_forward_hook(lambda *call: texts.append(len(call[2].pooler_output)))
    pipeline.run(PICTURES, {"candidate_labels": LABELS})
    assert texts == [len(LABELS)]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (DETECTION, {}),
        (DETECTION, {"threshold": 0.0, "top_k": 7}),
        (DETECTION, {"threshold": 0.9}),
        ("grounding-dino", {"threshold": 0.0, "top_k": 7}),
    ],
)
def test_boxes_are_those_of_each_image_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    parameters = {"candidate_labels": LABELS, **parameters}
    outputs = load(folder, DETECTION).run(PICTURES, parameters)
    assert_same(outputs, alone(folder, DETECTION, **parameters))
    if parameters.get("threshold") == 0:
        assert all(len(output) == 7 for output in outputs)
        assert len({box["label"] for output in outputs for box in output}) > 1


def test_an_owl_sees_an_image_once_for_all_labels(model_folder: ModelFolder) -> None:
    folder = model_folder(DETECTION)
    pipeline: Any = load(folder, DETECTION)
    seen: list[int] = []
    pipeline.model.owlvit.vision_model.register_forward_hook(
        lambda *call: seen.append(len(call[2].pooler_output))
    )
    parameters = {"candidate_labels": LABELS, "threshold": 0.0}
    outputs = pipeline.run(PICTURES, parameters)
    assert seen == [len(PICTURES)]
    pipeline.sees_once = False  # as another model
    assert_same(pipeline.run(PICTURES, parameters), outputs)
    assert sum(seen[1:]) == len(PICTURES) * len(LABELS)


@pytest.mark.parametrize("task", [CLASSIFICATION, DETECTION])
def test_a_bad_image_fails_alone(model_folder: ModelFolder, task: str) -> None:
    pipeline = load(model_folder(task), task)
    parameters = {"candidate_labels": LABELS}
    outputs = pipeline.run([PICTURES[0], BROKEN, PICTURES[1]], parameters)
    assert isinstance(outputs[1], InvalidRequest)
    assert "the image is damaged" in str(outputs[1])
    assert_same([outputs[0], outputs[2]], pipeline.run(PICTURES[:2], parameters))


@pytest.mark.parametrize(
    ("task", "parameters", "pointer"),
    [
        (CLASSIFICATION, {"hypothesis_template": "{0.__class__}"}, "hypothesis_template"),
        (CLASSIFICATION, {"hypothesis_template": "{:>1000000000}"}, "hypothesis_template"),
        (CLASSIFICATION, {"candidate_labels": ["a " * 60]}, "candidate_labels"),
        (DETECTION, {"candidate_labels": ["a", "a " * 20]}, "candidate_labels"),
    ],
)
def test_what_cannot_be_read_is_refused(
    model_folder: ModelFolder, task: str, parameters: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        load(model_folder(task), task).prepare(PICTURES, {"candidate_labels": LABELS, **parameters})
    assert refused.value.pointer == f"/parameters/{pointer}"


def test_a_narrow_image_is_not_resized_to_gigabytes(model_folder: ModelFolder) -> None:
    narrow = encoded(picture(2_000_000, 1))  # a few kilobytes
    pipeline = load(model_folder(CLASSIFICATION), CLASSIFICATION)
    [refused] = pipeline.run([narrow], {"candidate_labels": LABELS})
    assert isinstance(refused, InvalidRequest)
    assert "too narrow" in str(refused)


def test_the_samples_of_the_warm_up_run(model_folder: ModelFolder) -> None:
    for task in (CLASSIFICATION, DETECTION):
        pipeline: Any = load(model_folder(task), task)
        assert len(pipeline.run(*pipeline.warm_up())) == 1
    assert transformers.is_torchvision_available() is False
