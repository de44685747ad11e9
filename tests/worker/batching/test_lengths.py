"""Estimated lengths, for models without a tokenizer in the worker."""

from pathlib import Path

import msgspec
import pytest

from jobs.errors import ConfigurationError
from jobs.tasks import TASKS, custom_task
from worker.batching.lengths import LengthMeter
from worker.engine.protocol import Cost, Loaded


def loaded(max_length: int | None = None) -> Loaded:
    return Loaded("cpu", "float32", max_length, None, 0.0, Cost(512), False, 1, "")


@pytest.fixture
def meter() -> LengthMeter:
    return LengthMeter(custom_task("json", {}), loaded())


async def test_without_a_tokenizer_it_is_an_estimate(meter: LengthMeter) -> None:
    assert await meter.measure(["x" * 40, ""], {}) == [11, 1]
    assert await meter.measure([{"x": 1}, "x" * 40], {}) == [1, 1]


async def test_the_estimate_follows_the_batches(meter: LengthMeter) -> None:
    for _ in range(3):
        meter.adjust(["x" * 30, "x" * 10], {}, 40)
    assert await meter.measure(["x" * 40], {}) == [41]
    for _ in range(200):
        meter.adjust(["x" * 30, "x" * 10], {}, 20)
    assert await meter.measure(["x" * 40], {}) == [21], "and forgets"


async def test_a_text_that_runs_once_for_each_label_is_not_longer_for_it() -> None:
    meter = LengthMeter(TASKS["zero-shot-classification"], loaded())
    labels = {"candidate_labels": ["a", "b", "c"]}
    meter.adjust(["x" * 40], labels, 30)
    assert await meter.measure(["x" * 40], {"candidate_labels": ["a"]}) == [11]
    assert await meter.measure(["x" * 40], labels) == [33]


async def test_a_batch_without_information_changes_no_estimate(meter: LengthMeter) -> None:
    meter.adjust(["x" * 40], {}, 0)
    meter.adjust([{"x": 1}], {}, 7)
    assert await meter.measure(["x" * 40], {}) == [11]


async def test_a_truncated_text_does_not_change_the_estimate() -> None:
    meter = LengthMeter(TASKS["text-classification"], loaded(max_length=16))
    meter.adjust(["x" * 10_000], {}, 16)
    assert await meter.measure(["x" * 40, "x" * 10_000], {}) == [11, 16]


async def test_a_query_counts_once_for_each_of_its_documents() -> None:
    meter = LengthMeter(TASKS["text-ranking"], loaded())
    one = {"query": "x" * 9, "documents": ["y" * 10, "z" * 30]}
    assert await meter.measure([one], {}) == [(20 // 4 + 1) + (40 // 4 + 1)]
    both = [one, {"query": "x" * 9, "document": ""}]
    assert await meter.measure(both, {}) == [17, 10 // 4 + 1]
    meter.adjust(both, {}, (20 + 40 + 10) // 2)
    assert await meter.measure([one], {}) == [(20 // 2 + 1) + (40 // 2 + 1)]


async def test_rows_are_cut_one_by_one() -> None:
    meter = LengthMeter(TASKS["text-ranking"], loaded(max_length=16))
    assert await meter.measure([{"query": "x" * 1_000, "documents": ["y"] * 5}], {}) == [5 * 16]


@pytest.mark.parametrize("content", ["{", "", None])
def test_a_tokenizer_that_cannot_be_read_is_a_configuration_error(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json cannot be read"):
        LengthMeter(TASKS["text-classification"], msgspec.structs.replace(loaded(), tokenizer_file=str(file)))
