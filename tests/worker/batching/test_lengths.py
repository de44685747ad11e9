"""Estimated lengths, for models without a tokenizer in the worker."""

from pathlib import Path

import msgspec
import pytest

from jobs.errors import ConfigurationError
from jobs.media.values import Stored
from jobs.tasks import TASKS, custom_task
from tests.jobs.media.samples import sound
from worker.batching.lengths import LengthMeter
from worker.engine.protocol import Cost, Loaded


def loaded(max_length: int | None = None, unit_seconds: float | None = None) -> Loaded:
    found = Loaded("cpu", "float32", max_length, None, 0.0, Cost(512), False, 1, "")
    return msgspec.structs.replace(found, unit_seconds=unit_seconds)


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


async def test_a_sound_costs_its_seconds() -> None:
    sounds = [sound(kind, seconds) for seconds, kind in ((0.95, "WAV"), (2, "MP3"), (4, "OGG with Opus"))]
    task = TASKS["automatic-speech-recognition"]
    tenths = await LengthMeter(task, loaded(unit_seconds=0.1)).measure(sounds, {})
    assert tenths == pytest.approx([10, 20, 40], abs=1)
    assert await LengthMeter(task, loaded(unit_seconds=3)).measure(sounds, {}) == [1, 1, 2]
    assert await LengthMeter(task, loaded()).measure(sounds, {}) == [1, 1, 1], (
        "if the model reads a fixed length"
    )


async def test_a_sound_of_unknown_length_costs_its_bytes() -> None:
    meter = LengthMeter(TASKS["automatic-speech-recognition"], loaded(unit_seconds=1.0))
    start = b"OggS" + bytes(60)
    stored = Stored(0, 16_000 * 9, b"", start)
    assert await meter.measure([start + bytes(16_000 * 3), stored, b"", 7], {}) == [4, 9, 1, 1]
