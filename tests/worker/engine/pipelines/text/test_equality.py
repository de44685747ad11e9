"""A batch never changes an answer: every task against plain transformers, called one by one."""

from typing import Any

import pytest

from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline

LONG = "we waited in the town and the engine was late, the bridge closed; " * 12
TEXTS = [
    "good!",
    LONG,
    "Anna arrived in London and wrote a letter to the town of Paris.",
    "It is not bad",
    "zyxwv qqq the [PAD] river",
    "  a   house\nand\ta road — naïve",
    "one",
]
MASKED = [
    "the [MASK].",
    "Anna [MASK] a letter in the evening and it was [MASK] to the house of [MASK].",
    "[MASK] " + LONG,
    "we met in [MASK], and the road to the river was closed",
]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"top_k": 1},
        {"top_k": 2},
        {"top_k": None},
        {"function_to_apply": "sigmoid"},
        {"function_to_apply": "softmax", "top_k": 3},
        {"function_to_apply": "none", "top_k": None},
    ],
)
@pytest.mark.parametrize(
    "model",
    [
        "text-classification",
        "fnet",
        "distilbert",
        "gpt2-classifier",
        "gpt2-classifier-without-pad",
    ],
)
def test_text_classification(model_folder: ModelFolder, model: str, parameters: dict[str, Any]) -> None:
    folder = model_folder(model)
    plain = plain_pipeline(folder, "text-classification")
    limit = {"truncation": True, "max_length": 48}
    expected = [plain([text], **limit, **parameters)[0] for text in TEXTS]
    assert_same(load(folder, "text-classification").run(TEXTS, parameters), expected)


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("labels", [None, [], ["PER", "B-LOC"]])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_token_classification(model_folder: ModelFolder, strategy: str, labels: list[str] | None) -> None:
    folder = model_folder("token-classification")
    plain = plain_pipeline(folder, "token-classification")
    parameters: dict[str, Any] = {"aggregation_strategy": strategy}
    if labels is not None:
        parameters["ignore_labels"] = labels
    expected = [plain([text], **parameters)[0] for text in TEXTS]
    outputs = load(folder, "token-classification").run(TEXTS, parameters)
    assert any(outputs)
    assert_same(outputs, expected)


@pytest.mark.parametrize(
    "model",
    ["feature-extraction", "gpt2-features", "albert-features", "llama-features", "modernbert-features"],
)
def test_features_have_no_padding(model_folder: ModelFolder, model: str) -> None:
    folder = model_folder(model)
    plain = plain_pipeline(folder, "feature-extraction")
    limit = {"truncation": True, "max_length": 48}
    expected = [plain(text, tokenize_kwargs=dict(limit)) for text in TEXTS]
    outputs = load(folder, "feature-extraction").run(TEXTS, {})
    assert len(outputs[0][0]) < len(outputs[1][0]) == 48
    assert_same(outputs, expected)


@pytest.mark.parametrize(
    "parameters",
    [
        {"candidate_labels": ["good", "bad", "a very late engine of the town"]},
        {"candidate_labels": ["good", "bad"], "multi_label": True},
        {"candidate_labels": ["river"]},
        {"candidate_labels": ["road", "water"], "hypothesis_template": "{} in winter!"},
        {"candidate_labels": [" ".join(["river"] * n) for n in range(1, 12)]},
    ],
)
@pytest.mark.parametrize("model", ["zero-shot-classification", "fnet-nli"])
def test_zero_shot(model_folder: ModelFolder, model: str, parameters: dict[str, Any]) -> None:
    folder = model_folder(model)
    plain = plain_pipeline(folder, "zero-shot-classification")
    expected = [plain(text, **parameters) for text in TEXTS]
    pipeline = load(folder, "zero-shot-classification", max_batch_items=8)
    assert_same(pipeline.run(TEXTS, parameters), expected)


@pytest.mark.parametrize(
    "parameters", [{}, {"top_k": 1}, {"top_k": 7}, {"targets": ["good", "bad", "unheard"], "top_k": 2}]
)
def test_fill_mask(model_folder: ModelFolder, parameters: dict[str, Any]) -> None:
    folder = model_folder("fill-mask")
    plain = plain_pipeline(folder, "fill-mask")
    expected = [plain(text, tokenizer_kwargs={"truncation": True}, **parameters) for text in MASKED]
    assert_same(load(folder, "fill-mask").run(MASKED, parameters), expected)
