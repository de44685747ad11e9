"""Vectors are those that plain transformers makes of each image alone."""

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.vision.conftest import Both
from tests.worker.engine.pipelines.vision.images import IMAGES, opened

TASK = "image-feature-extraction"


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("model", ["vit", "dinov2"])
def test_vectors_are_those_of_each_image_alone(both: Both, model: str, pool: bool) -> None:
    plain, ours = both(model, TASK)
    expected = [plain(opened(data), pool=pool) for data in IMAGES.values()]
    assert_same(ours.run(list(IMAGES.values()), {"pool": pool}), expected)


def test_base64_has_the_same_numbers(both: Both) -> None:
    _, pipeline = both("vit", TASK)
    [[vector]] = pipeline.run([IMAGES["grey"]], {"pool": True})
    [[text]] = pipeline.run([IMAGES["grey"]], {"pool": True, "encoding": "base64"})
    assert np.frombuffer(base64.b64decode(text), "<f4").tolist() == vector


def test_a_model_without_a_pooler(model_folder: ModelFolder, tmp_path: Path) -> None:
    """transformers fills the pooler of a classifier's checkpoint with random numbers."""
    folder = shutil.copytree(model_folder("vit"), tmp_path / "copy")
    model = transformers.ViTModel.from_pretrained(folder, add_pooling_layer=False)
    shutil.rmtree(folder)
    model.save_pretrained(folder)
    shutil.copy(model_folder("vit") / "preprocessor_config.json", folder)
    pipeline: Any = load(folder, TASK)
    assert len(pipeline.run([IMAGES["grey"]], {})[0][0]) == 17
    [refused] = pipeline.run([IMAGES["grey"]], {"pool": True})
    assert isinstance(refused, InvalidRequest)
    assert str(refused) == "pool: this model has no pooled output"
