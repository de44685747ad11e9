"""Masks are those that plain transformers generates for each image alone."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil, _rle_to_mask

from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.vision.conftest import Both
from tests.worker.engine.pipelines.vision.images import IMAGES, opened, pixels
from worker.engine.pipelines.vision import mask_generation
from worker.engine.pipelines.vision.suppression import best_boxes

TASK = "mask-generation"
ANY: dict[str, Any] = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "points_per_crop": 3}
SOME = {name: IMAGES[name] for name in ("a photo", "an upright photo", "grey", "a bitmap")}


def overlap(one: list[float], other: list[float]) -> float:
    """The intersection of two boxes over their union."""
    sides = [min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    total = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / total if total else 0.0


def kept(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int]:
    """Non-maximum suppression as in the textbook."""
    found: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        if all(overlap(boxes[index], boxes[better]) <= threshold for better in found):
            found.append(index)
    return found


@pytest.fixture
def plain(both: Both, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The pipeline of transformers, for which only the suppression comes from torchvision."""

    def suppress(_: Any, masks: Any, scores: Any, boxes: Any, threshold: float) -> Any:
        found = kept(boxes.tolist(), scores.tolist(), threshold)
        encoded = [masks[index] for index in found]
        return [_rle_to_mask(one) for one in encoded], scores[found], encoded, boxes[found]

    monkeypatch.setattr(SamImageProcessorPil, "post_process_for_mask_generation", suppress)
    return both("sam", TASK)[0]


@pytest.mark.parametrize(
    "parameters",
    [
        ANY,
        {**ANY, "pred_iou_thresh": 0.585, "crops_nms_thresh": 1.0},
        {**ANY, "crops_n_layers": 1, "crops_nms_thresh": 0.9},
        {**ANY, "mask_threshold": 0.01},
    ],
)
def test_masks_are_those_of_each_image_alone(plain: Any, both: Both, parameters: dict[str, Any]) -> None:
    parameters = {**parameters, "output_bboxes_mask": True, "output_rle_mask": True}
    found = both("sam", TASK)[1].run(list(SOME.values()), parameters)
    total = 0
    for ours, data in zip(found, SOME.values(), strict=True):
        theirs = plain(opened(data), **parameters)
        assert_same(ours["scores"], theirs["scores"].tolist())
        assert_same(ours["rle_mask"], theirs["rle_mask"])
        assert_same(ours["bounding_boxes"], theirs["bounding_boxes"].long().tolist())
        for one, other in zip(ours["masks"], theirs["masks"], strict=True):
            assert np.array_equal(pixels(one) == 255, other)
        total += len(ours["masks"])
    assert total >= len(SOME)


def test_large_masks_are_filtered_in_parts(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pipeline = both("sam", TASK)
    parameters = {**ANY, "output_rle_mask": True, "crops_nms_thresh": 1.0}
    [whole] = pipeline.run([IMAGES["a photo"]], parameters)
    monkeypatch.setattr(mask_generation, "MAX_MASK_PIXELS", 1)
    [in_parts] = pipeline.run([IMAGES["a photo"]], parameters)
    assert len(whole["rle_mask"]) > 3
    assert in_parts["rle_mask"] == whole["rle_mask"]
    assert in_parts["scores"] == whole["scores"]


def test_more_masks_than_can_be_enlarged_fail_alone(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pipeline = both("sam", TASK)
    small, large = IMAGES["a bitmap"], IMAGES["a photo"]
    count = 3 * 3 * 3
    monkeypatch.setattr(mask_generation, "LEAST_WORK", 1_000)
    monkeypatch.setattr(mask_generation, "MAX_WORK", count * 1_000)
    outputs = pipeline.run([small, large], ANY)
    assert "too many masks" in str(outputs[1])
    assert outputs[0]["masks"]
    [refused] = pipeline.run([small], {**ANY, "crops_n_layers": 1})
    assert "too many masks" in str(refused)


def test_images_share_the_encoder(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("sam"), TASK)
    batches: list[int] = []
    pipeline.model.vision_encoder.register_forward_hook(lambda *call: batches.append(len(call[1][0])))
    pipeline.run(list(SOME.values()), ANY)
    assert batches == [len(SOME)]


def test_the_best_boxes_are_kept() -> None:
    numbers = np.random.default_rng(3)
    corners = numbers.integers(0, 30, (200, 2))
    boxes = np.concatenate([corners, corners + numbers.integers(0, 12, (200, 2))], axis=1).astype(np.float32)
    scores = numbers.integers(0, 50, 200).astype(np.float32)  # some are equal
    for threshold in (0.0, 0.3, 0.7, 1.0):
        found = best_boxes(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
        assert found.tolist() == kept(boxes.tolist(), scores.tolist(), threshold)
    assert best_boxes(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
