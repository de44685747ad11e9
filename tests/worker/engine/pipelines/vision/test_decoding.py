"""An image has the pixels that transformers reads, whatever its mode."""

import numpy as np
import pytest
from transformers.image_utils import load_image

from jobs.tasks.inputs import InputLimits
from tests.worker.engine.pipelines.vision.images import IMAGES, UNUSUAL, opened
from worker.engine.pipelines.vision.decoding import decode

ALL = IMAGES | UNUSUAL


@pytest.mark.parametrize("name", ALL)
def test_pixels_are_those_of_transformers(name: str) -> None:
    found = decode(ALL[name], InputLimits(max_input_chars=1))
    expected = load_image(opened(ALL[name]))
    assert found.mode == expected.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(expected))
