"""Boxes are those that plain transformers finds in each image alone, although processors pad a batch."""

from typing import Any

import pytest

from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.vision.conftest import Both
from tests.worker.engine.pipelines.vision.images import IMAGES, opened

TASK = "object-detection"


@pytest.mark.parametrize("parameters", [{}, {"threshold": 0.2}])
@pytest.mark.parametrize("model", ["detr", "yolos"])
def test_boxes_are_those_of_each_image_alone(both: Both, model: str, parameters: dict[str, Any]) -> None:
    plain, ours = both(model, TASK)
    expected = [plain(opened(data), **parameters) for data in IMAGES.values()]
    assert any(expected)
    assert_same(ours.run(list(IMAGES.values()), parameters), expected)


def test_only_images_of_one_shape_share_a_pass(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("detr"), TASK)
    shapes: list[Any] = []
    pipeline.model.register_forward_hook(
        lambda *call: shapes.append(tuple(call[2]["pixel_values"].shape)), with_kwargs=True
    )
    wide, tall, square = IMAGES["a photo"], IMAGES["an upright photo"], IMAGES["grey"]
    pipeline.run([wide, square, tall, wide, square, square], {})
    assert sorted(shapes) == [(1, 3, 51, 32), (2, 3, 32, 51), (3, 3, 32, 32)]


def test_an_image_costs_by_its_pixels_after_resizing(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("detr"), TASK)
    [square], [wide] = (pipeline._rows(IMAGES[name], {}) for name in ("grey", "a photo"))
    assert square.units == 1
    assert wide.units == pytest.approx(51 / 32)
    pipeline.budget = 3  # of three wide images, each 1.6
    batch = pipeline.prepare([IMAGES["a photo"]] * 3 + [IMAGES["grey"]] * 3, {}).work
    assert [one.places for one in batch.passes] == [[0], [1], [2], [3, 4, 5]]
