"""Depths are those that plain transformers finds in each image alone."""

import numpy as np
import pytest

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.vision.conftest import Both
from tests.worker.engine.pipelines.vision.images import IMAGES, opened, pixels

TASK = "depth-estimation"
LARGE = {name: data for name, data in IMAGES.items() if name not in ("tiny", "a bitmap")}


@pytest.mark.parametrize("model", ["dpt", "glpn"])
def test_depths_are_those_of_each_image_alone(both: Both, model: str) -> None:
    plain, batched = both(model, TASK)
    found = batched.run(list(LARGE.values()), {"return_predicted_depth": True})
    for ours, data in zip(found, LARGE.values(), strict=True):
        theirs = plain(opened(data))
        numbers = theirs["predicted_depth"].numpy()
        file = ours["predicted_depth"]
        assert file.content_type == "application/octet-stream"
        depth = np.frombuffer(file.content, "<f4").reshape(ours["height"], ours["width"])
        assert depth.shape == numbers.shape
        assert np.allclose(depth, numbers, rtol=0, atol=1e-5 * np.abs(numbers).max())
        assert [ours["minimum"], ours["maximum"]] == [depth.min(), depth.max()]
        difference = pixels(ours["depth"]).astype(int) - np.asarray(theirs["depth"])
        assert difference.shape == numbers.shape
        assert np.abs(difference).max() <= 1


def test_without_the_numbers_there_is_only_the_picture(both: Both) -> None:
    _, pipeline = both("dpt", TASK)
    [output] = pipeline.run([IMAGES["grey"]], {})
    assert output.keys() == {"depth", "minimum", "maximum"}


def test_an_image_too_small_for_the_model_fails_alone(both: Both) -> None:
    _, pipeline = both("glpn", TASK)
    refused, answered = pipeline.run([IMAGES["tiny"], IMAGES["lossy"]], {})
    assert isinstance(refused, InvalidRequest)
    assert "cannot be prepared for the model" in str(refused)
    assert "depth" in answered
