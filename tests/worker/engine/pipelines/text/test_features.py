"""Pooling and normalising, against the same sums by hand."""

import base64

import numpy as np
import pytest

from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline

TEXTS = ["good", "the engine of the town was late and the bridge closed in winter", "we met"]


def test_pooled_vectors(model_folder: ModelFolder) -> None:
    folder = model_folder("feature-extraction")
    pipeline, plain = load(folder, "feature-extraction"), plain_pipeline(folder, "feature-extraction")
    tokens = [np.array(plain(text)[0]) for text in TEXTS]
    mean = pipeline.run(TEXTS, {"pooling": "mean"})
    assert np.allclose(mean, [rows.mean(axis=0) for rows in tokens], atol=1e-5)
    first = pipeline.run(TEXTS, {"pooling": "cls"})
    assert np.allclose(first, [rows[0] for rows in tokens], atol=1e-5)


@pytest.mark.parametrize("pooling", ["none", "mean", "cls"])
def test_normalized_vectors_have_length_one(model_folder: ModelFolder, pooling: str) -> None:
    pipeline = load(model_folder("feature-extraction"), "feature-extraction")
    raw = pipeline.run(TEXTS, {"pooling": pooling})
    for before, after in zip(raw, pipeline.run(TEXTS, {"pooling": pooling, "normalize": True}), strict=True):
        assert np.allclose(np.linalg.norm(after, axis=-1), 1.0, atol=1e-5)
        length = np.linalg.norm(before, axis=-1, keepdims=True)
        assert np.allclose(np.array(before) / length, after, atol=1e-5)


def test_vectors_as_base64_are_the_same_numbers(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("feature-extraction"), "feature-extraction")
    for parameters in ({"pooling": "mean", "normalize": True}, {}):
        numbers = pipeline.run(TEXTS, parameters)
        packed = pipeline.run(TEXTS, {**parameters, "encoding": "base64"})
        if "pooling" not in parameters:
            assert [len(tokens) for [tokens] in packed] == [len(tokens) for [tokens] in numbers]
            numbers, packed = [tokens[-1] for [tokens] in numbers], [tokens[-1] for [tokens] in packed]
        assert [np.frombuffer(base64.b64decode(text), "<f4").tolist() for text in packed] == numbers
