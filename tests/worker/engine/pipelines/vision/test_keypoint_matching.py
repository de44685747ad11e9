"""Matches are those that plain transformers finds for each pair alone."""

from typing import Any

import pytest
import torch

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import assert_same
from tests.worker.engine.pipelines.vision.conftest import Both
from tests.worker.engine.pipelines.vision.images import IMAGES, encoded, opened, picture

TASK = "keypoint-matching"
SQUARES = [encoded(picture(side, side)) for side in (64, 200, 120)]
PAIRS = [
    (SQUARES[0], SQUARES[1]),
    (SQUARES[1], SQUARES[1]),
    (IMAGES["a photo"], IMAGES["an upright photo"]),
    (IMAGES["grey"], IMAGES["a photo"]),
]


def inputs(pairs: Any) -> list[Any]:
    return [{"images": list(pair)} for pair in pairs]


@pytest.mark.parametrize("model", ["superglue", "lightglue"])
def test_matches_are_those_of_each_pair_alone(both: Both, model: str) -> None:
    plain, batched = both(model, TASK)
    found = batched.run(inputs(PAIRS), {})
    assert_same(found[:2], [plain([opened(data) for data in pair]) for pair in PAIRS[:2]])
    for ours, pair in zip(found, PAIRS, strict=True):
        assert ours
        assert_same(ours, matches(plain, [opened(data).convert("RGB") for data in pair]))


def matches(plain: Any, images: list[Any]) -> list[dict[str, Any]]:
    """What transformers' own postprocessing returns, if it gets (height, width) as it expects."""
    images = [turned(image) for image in images]
    with torch.inference_mode():
        output = plain.model(**plain.image_processor(images, return_tensors="pt"))
    [found] = plain.image_processor.post_process_keypoint_matching(
        output, [[(image.height, image.width) for image in images]]
    )
    parts = (found["keypoints0"], found["keypoints1"], found["matching_scores"])
    rows = [
        {
            "keypoint_image_0": {"x": int(first[0]), "y": int(first[1])},
            "keypoint_image_1": {"x": int(second[0]), "y": int(second[1])},
            "score": float(score),
        }
        for first, second, score in zip(*parts, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["score"])


def turned(image: Any) -> Any:
    return image.transpose(5) if image.getexif().get(0x0112) == 6 else image


def test_a_threshold_leaves_matches_out(both: Both) -> None:
    _, pipeline = both("superglue", TASK)
    assert pipeline.run(inputs(PAIRS), {"threshold": 1.0}) == [[]] * len(PAIRS)


@pytest.mark.parametrize("bad", [b"", {"images": SQUARES[:1]}, {"images": [SQUARES[0], b"GIF89a"]}])
def test_a_bad_pair_fails_alone(both: Both, bad: Any) -> None:
    _, pipeline = both("superglue", TASK)
    good = inputs(PAIRS[:1])
    refused, answered = pipeline.run([bad, *good], {})
    assert isinstance(refused, InvalidRequest)
    assert answered
