"""Segments are those that plain transformers finds in each image alone; masks are PNGs."""

from typing import Any

import numpy as np
import pytest

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import assert_same
from tests.worker.engine.pipelines.vision.conftest import Both
from tests.worker.engine.pipelines.vision.images import IMAGES, opened, pixels
from worker.engine.pipelines.vision import image_segmentation

TASK = "image-segmentation"
ANY: dict[str, Any] = {"threshold": 0.0, "overlap_mask_area_threshold": 0.0}


def differing(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that differ: a model with random weights is undecided about some."""
    assert one.shape == other.shape
    return float(np.mean(one != other))


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("segformer", {}),
        ("segformer", {"subtask": "semantic"}),
        ("maskformer", ANY),
        ("maskformer", {**ANY, "subtask": "instance"}),
        ("mask2former", ANY),
        ("mask2former", {**ANY, "subtask": "instance", "mask_threshold": 0.4}),
        ("mask2former", {"subtask": "semantic"}),
    ],
)
def test_segments_are_those_of_each_image_alone(both: Both, model: str, parameters: dict[str, Any]) -> None:
    plain, batched = both(model, TASK)
    images = [IMAGES[name] for name in ("a photo", "an upright photo", "grey", "transparent", "a bitmap")]
    expected = [plain(opened(data), **parameters) for data in images]
    assert sum(map(len, expected)) >= len(images)
    found = batched.run(images, parameters)
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert differing(pixels(one.pop("mask")), np.asarray(other.pop("mask"))) < 0.001
            assert_same(one, other)


def test_a_subtask_that_the_model_does_not_offer(both: Both) -> None:
    _, pipeline = both("segformer", TASK)
    with pytest.raises(InvalidRequest, match="subtask: this model offers semantic, not panoptic"):
        pipeline.run([IMAGES["grey"]], {"subtask": "panoptic"})


@pytest.mark.parametrize("model", ["segformer", "maskformer", "mask2former"])
def test_maps_of_more_than_a_few_gigabytes_fail_alone(
    both: Both, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr(image_segmentation, "MAX_NUMBERS", 50_000)
    outputs = both(model, TASK)[1].run([IMAGES["a photo"], IMAGES["a bitmap"]], {})
    assert "together they may have 50,000 pixels" in str(outputs[0])
    assert isinstance(outputs[1], list)
