"""Preparing, computing and answering in separate threads gives the same answers as in one thread."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.worker.engine.pipelines.conftest import ModelFolder, load

TASKS: dict[str, list[dict[str, Any]]] = {
    "text-classification": [{}, {"top_k": None}],
    "token-classification": [{"aggregation_strategy": "simple"}, {"ignore_labels": []}],
    "feature-extraction": [{"pooling": "mean"}, {"normalize": True}],
    "zero-shot-classification": [
        {"candidate_labels": ["good", "bad", "late"]},
        {"candidate_labels": ["one"]},
    ],
    "fill-mask": [{"targets": ["good", "late"]}, {"top_k": 3}],
    "text-generation": [{"max_new_tokens": 3, "do_sample": False}, {"max_new_tokens": 5, "do_sample": False}],
}
BATCHES = [
    ["[MASK] the bridge", "Anna wrote a [MASK] to the town of Paris."],
    ["we waited in the [MASK]"],
    ["one [MASK]", "two [MASK] in winter", "the paper and the engine of the [MASK] was late"],
]


@pytest.mark.parametrize("task", TASKS)
def test_each_step_may_have_its_own_thread(model_folder: ModelFolder, task: str) -> None:
    pipeline = load(model_folder(task), task)
    batches = [(texts, parameters) for texts in BATCHES * 4 for parameters in TASKS[task]]
    expected = [pipeline.run(*batch) for batch in batches]
    with (
        ThreadPoolExecutor(1) as preparing,
        ThreadPoolExecutor(1) as computing,
        ThreadPoolExecutor(1) as last,
    ):
        prepared = [preparing.submit(pipeline.prepare, *batch) for batch in batches]
        computed = [computing.submit(lambda one: pipeline.compute(one.result()), one) for one in prepared]
        answered = [last.submit(lambda one: pipeline.answer(one.result()), one) for one in computed]
        assert [one.result() for one in answered] == expected


@pytest.mark.parametrize(
    ("model", "task", "parameters", "tokens", "padded"),
    [
        # [CLS] good [SEP] and [CLS] the bridge was late [SEP]
        ("text-classification", "text-classification", {}, 3 + 6, 3 + 6),
        # one by one, for neighbours would show
        ("fnet", "text-classification", {}, 3 + 6, 3 + 6),
        # its end is found by the padding
        ("gpt2-classifier", "text-classification", {}, 1 + 4, 2 * 4),
        ("text-generation", "text-generation", {"max_new_tokens": 2}, 1 + 4, 2 * 4),
        # a hypothesis of a word and a full stop more, and a separator; two labels
        (
            "zero-shot-classification",
            "zero-shot-classification",
            {"candidate_labels": ["river", "town"], "hypothesis_template": "{}."},
            2 * (6 + 9),
            2 * (6 + 9),
        ),
    ],
)
def test_a_prepared_batch_reports_its_size(
    model_folder: ModelFolder, model: str, task: str, parameters: dict[str, Any], tokens: int, padded: int
) -> None:
    prepared = load(model_folder(model), task).prepare(["good", "the bridge was late"], parameters)
    assert (prepared.tokens, prepared.padded) == (tokens, padded)


def test_the_parts_of_a_batch_keep_to_the_budget(model_folder: ModelFolder) -> None:
    """Three texts against two labels are six rows, of two lengths."""
    task = "zero-shot-classification"
    pipeline: Any = load(model_folder(task), task)
    texts, parameters = ["good", "the bridge was late", "bad"], {"candidate_labels": ["river", "town"]}
    whole = pipeline.run(texts, parameters)
    pipeline.budget = 24
    parts = [one.tensors["input_ids"].numel() for one in pipeline.prepare(texts, parameters).work.passes]
    assert len(parts) > 1
    assert max(parts) <= 24
    for one, other in zip(pipeline.run(texts, parameters), whole, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
