"""Similarities are those of the vectors of each sentence alone, pooled as the model's files say."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.catalog import load_catalog
from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline

LONG = "we waited in the town and the engine was late, the bridge closed; " * 12
INPUTS: list[dict[str, Any]] = [
    {"source_sentence": "the late engine", "sentences": ["good!", LONG, "the engine was late"]},
    {"source_sentence": LONG, "sentences": [LONG]},
    {"source_sentence": "Anna", "sentences": ["we met Anna in Paris", "one"]},
]


def one_by_one(folder: Path, pooling: str) -> list[list[float]]:
    plain = plain_pipeline(folder, "feature-extraction")

    def vector(text: str) -> Any:
        rows = np.array(plain(text, tokenize_kwargs={"truncation": True, "max_length": 48})[0])
        pooled = rows.mean(axis=0) if pooling == "mean" else rows[0]
        return pooled / np.linalg.norm(pooled)

    return [
        [float(vector(one["source_sentence"]) @ vector(each)) for each in one["sentences"]] for one in INPUTS
    ]


@pytest.mark.parametrize("parameters", [{}, {"pooling": "cls"}])
def test_as_the_cosines_of_vectors_made_alone(model_folder: ModelFolder, parameters: dict[str, Any]) -> None:
    folder = model_folder("feature-extraction")
    outputs = load(folder, "sentence-similarity", max_batch_items=4).run(INPUTS, parameters)
    for output, expected in zip(outputs, one_by_one(folder, parameters.get("pooling", "mean")), strict=True):
        assert output == pytest.approx(expected, abs=1e-5)
    assert outputs[1] == pytest.approx([1.0])


def test_the_models_files_say_the_pooling(model_folder: ModelFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("feature-extraction"), tmp_path / "model")
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
    pipeline = load(folder, "sentence-similarity")
    assert pipeline.defaults == {"pooling": "cls"}
    assert pipeline.run(INPUTS[:1], {})[0] == pytest.approx(one_by_one(folder, "cls")[0], abs=1e-5)
    (tmp_path / "models.toml").write_text('[models.m]\ntask = "sentence-similarity"\nsource = "model"\n')
    assert load_catalog(tmp_path / "models.toml")["m"].shown_defaults == {"pooling": "cls"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a text", "give an object, not a text"),
        ({"source_sentence": "a", "sentences": []}, "give a list of 1 to 1,000 texts"),
        ({"source_sentence": "a", "sentences": ["b", ""]}, "a sentence is empty"),
        ({"source_sentence": "", "sentences": ["b"]}, "a sentence is empty"),
    ],
)
def test_what_has_no_sentences_is_refused(model_folder: ModelFolder, given: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        load(model_folder("feature-extraction"), "sentence-similarity").run([given], {})
