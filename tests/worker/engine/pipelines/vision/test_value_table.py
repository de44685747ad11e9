"""A table of values gives an image processor's own numbers, and is not used for processors that do more."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import ConvNextImageProcessorPil, ViTImageProcessorPil

from tests.worker.engine.pipelines.vision.images import picture
from worker.engine.pipelines.vision.value_table import value_table


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": {"height": 48, "width": 96}, "resample": 3},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.9, 0.5, 0.3], "rescale_factor": 1 / 127.5},
        {"do_normalize": False},
    ],
)
@pytest.mark.parametrize("size", [(320, 200), (5, 700), (224, 224), (2, 2)])
def test_numbers_are_the_processors(options: dict[str, Any], size: tuple[int, int]) -> None:
    processor: Any = ViTImageProcessorPil(**options)
    table = value_table(processor, picture(64, 48))
    assert table is not None
    image = picture(*size)
    expected = processor(images=image, return_tensors="pt")["pixel_values"]
    found = table.tensors(image)["pixel_values"]
    assert torch.equal(found, expected)
    assert (found.dtype, found.is_contiguous()) == (expected.dtype, True)


class Sharpening(ViTImageProcessorPil):
    def rescale(self, image: Any, *given: Any, **options: Any) -> Any:
        return super().rescale(image + np.roll(image, 1, axis=-1) // 2, *given, **options)


class Other(ViTImageProcessorPil):
    def _preprocess(self, *given: Any, **options: Any) -> Any:
        return super()._preprocess(*given, **options)


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessorPil(do_resize=False),
        ViTImageProcessorPil(size={"shortest_edge": 224}),
        ViTImageProcessorPil(do_center_crop=True, crop_size={"height": 32, "width": 32}),
        ConvNextImageProcessorPil(),
        Sharpening(),
        Other(),
        None,
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_processors_that_do_more_have_none(processor: Any) -> None:
    assert value_table(processor, picture(64, 48)) is None


def test_an_image_whose_rows_are_taken_for_channels_does_not_fit() -> None:
    table = value_table(ViTImageProcessorPil(), picture(64, 48))
    assert table is not None
    assert [table.fits(picture(40, height)) for height in (1, 2, 3, 4)] == [False, True, False, True]
