"""What a model reads of a long text, and whether texts may be padded to run together."""

from typing import Any

import pytest
import torch

from jobs.errors import ConfigurationError
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline
from tests.worker.engine.pipelines.tiny.text import POSITIONS

LONG = "the engine of the town was late and " * 30


@pytest.mark.parametrize(
    ("model", "task", "max_length"),
    [
        ("text-classification", "text-classification", POSITIONS),
        ("gpt2-features", "feature-extraction", POSITIONS),
        ("roberta", "text-classification", POSITIONS - 1),
    ],
)
def test_longer_texts_are_cut(model_folder: ModelFolder, model: str, task: str, max_length: int) -> None:
    folder = model_folder(model)
    pipeline = load(folder, task)
    assert pipeline.info.max_length == max_length
    assert pipeline.info.tokenizer_file == str(folder / "tokenizer.json")
    limit = {"truncation": True, "max_length": max_length}
    options = {"tokenize_kwargs": limit} if task == "feature-extraction" else limit
    plain = plain_pipeline(folder, task)
    texts = [LONG, "good"]
    assert_same(pipeline.run(texts, {}), [plain([text], **options)[0] for text in texts])


@pytest.mark.parametrize(
    ("model", "task", "layout"),
    [
        ("text-classification", "text-classification", "packed"),
        ("zero-shot-classification", "zero-shot-classification", "packed"),
        ("token-classification", "token-classification", "packed"),
        ("feature-extraction", "feature-extraction", "packed"),
        ("fill-mask", "fill-mask", "packed"),
        ("text-ranking", "text-ranking", "packed"),
        ("roberta", "text-classification", "packed"),
        ("distilbert", "text-classification", "packed"),
        ("gpt2-features", "feature-extraction", "packed"),
        ("albert-features", "feature-extraction", "packed"),
        ("llama-features", "feature-extraction", "packed"),
        ("modernbert-features", "feature-extraction", "padded"),
        ("long-modernbert-features", "feature-extraction", "padded"),
        ("esm", "fill-mask", "padded"),
        ("longrope-features", "feature-extraction", "alone"),
        ("long-fnet", "text-classification", "alone"),
        ("gpt2-classifier", "text-classification", "padded"),
        ("text-generation", "text-generation", "padded"),
        ("gpt2-classifier-without-pad", "text-classification", "alone"),
        ("fnet", "text-classification", "alone"),
    ],
)
def test_texts_share_a_pass_as_far_as_they_do_not_disturb_each_other(
    model_folder: ModelFolder, model: str, task: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what is tried must be one pass, however ready the lanes are
    monkeypatch.setattr("worker.engine.pipelines.text.encoder.MIN_TOKENS", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    pipeline: Any = load(model_folder(model), task)
    assert pipeline.layout == layout
    assert pipeline.info.packs == (layout == "packed")


@pytest.mark.parametrize(
    ("task", "parameters", "passes"),
    [
        ("text-classification", {}, 1),
        ("token-classification", {}, 1),
        ("feature-extraction", {}, 1),
        ("fill-mask", {}, 1),
        ("text-generation", {"max_new_tokens": 5, "do_sample": False}, 5),
        # Five texts against four labels are twenty rows, eight at a time.
        ("zero-shot-classification", {"candidate_labels": ["one", "two", "good", "bad"]}, 3),
    ],
)
def test_a_batch_is_one_forward_pass(
    model_folder: ModelFolder, task: str, parameters: dict[str, Any], passes: int
) -> None:
    pipeline: Any = load(model_folder(task), task, max_batch_items=8)
    calls: list[Any] = []
    pipeline.model.register_forward_hook(lambda *call: calls.append(call))
    pipeline.run([f"[MASK] {text}" for text in ("one", "two and two", LONG, "good", "late")], parameters)
    assert len(calls) == passes


def test_the_dtype_is_the_operators(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("text-classification"), "text-classification", dtype="bfloat16")
    assert pipeline.info.dtype == "bfloat16"
    assert str(pipeline.model.dtype) == "torch.bfloat16"
    assert pipeline.layout == "packed"
    assert pipeline.run(["good", LONG], {"top_k": 1})[1][0]["score"] > 0


def test_a_dtype_that_the_model_cannot_do(model_folder: ModelFolder) -> None:
    with pytest.raises(ConfigurationError, match="model 'tiny': a trial run failed: Unsupported dtype"):
        load(model_folder("fnet"), "text-classification", dtype="bfloat16")
