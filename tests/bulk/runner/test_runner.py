"""Batches from their file to their files: outcomes, faults, cancellation, expiry, other runners, outages."""

import re
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from pathlib import Path

import pytest

from bulk.batches.batch import BatchState
from bulk.files.files import Files
from bulk.runner import retries
from bulk.runner import runner as runner_module
from bulk.storage.storage import Storage
from jobs.errors import FileNotFound, StorageUnavailable
from jobs.settings import Settings
from tests.bulk.batches.table import lapse
from tests.bulk.runner.echoing import Echoing, request
from tests.bulk.runner.stand import Stand
from tests.waiting import until

LINES = b"".join(request(str(number), "fail" if number == 4 else f"text {number}") for number in range(9))
OUTCOMES = {str(number): "failed" if number == 4 else f"text {number}" for number in range(9)}
HELD = b"".join(request(str(number), "wait" if number >= 3 else f"text {number}") for number in range(9))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "POLL", 0.01)
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.01)


async def held(stand: Stand, lines: Echoing) -> str:
    """A batch whose first chunk is done, and two others wait."""
    batch_id = await stand.create(HELD)

    async def waiting() -> bool:
        return (await stand.batch(batch_id)).counts.completed == 2 and len(lines.began) == 5

    await until(waiting)
    return batch_id


async def test_a_batch(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch = await stand.ended(await stand.create(LINES, output_expires_after=3600))
    assert batch.status is BatchState.COMPLETED
    assert batch.counts == (9, 8, 1)
    assert (batch.model, batch.tokens) == ("echo", 8)
    assert await stand.outcomes(batch) == OUTCOMES
    output = await stand.rows(batch.output_file_id)
    assert [row["custom_id"] for row in output] == [str(each) for each in range(9) if each != 4], "in order"
    assert output[0]["id"] == f"batch_req_{batch.id.removeprefix('batch_')}_1"
    assert set(lines.began.values()) == {1}
    assert batch.output_file_id is not None
    file = await stand.files.get(batch.output_file_id, sees=None)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires is not None
    assert 3_590_000 < file.expires - file.created <= 3_600_000


@pytest.mark.parametrize(
    ("content", "output", "errors"), [(request("a"), True, False), (request("a", "fail"), False, True)]
)
async def test_no_file_for_no_rows(stand: Stand, content: bytes, output: bool, errors: bool) -> None:
    async with stand.runner():
        batch = await stand.ended(await stand.create(content))
    assert batch.status is BatchState.COMPLETED
    assert (batch.output_file_id is not None, batch.error_file_id is not None) == (output, errors)


async def test_a_bad_file(stand: Stand) -> None:
    async with stand.runner():
        batch = await stand.ended(await stand.create(request("a") + b"nonsense\n"))
    assert (batch.status, batch.counts) == (BatchState.FAILED, (0, 0, 0))
    assert [(fault.code, fault.line) for fault in batch.faults] == [("invalid_json_line", 2)]
    assert batch.output_file_id is batch.error_file_id is None


async def test_a_file_that_is_gone(stand: Stand) -> None:
    batch_id = await stand.create(LINES)
    [file_id] = [(await stand.batch(batch_id)).asked.input_file_id]
    await stand.files.delete(file_id, sees=None)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert [fault.code for fault in batch.faults] == ["file_not_found"]


async def test_the_input_may_be_deleted_while_the_batch_runs(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
        await stand.files.delete((await stand.batch(batch_id)).asked.input_file_id, sees=None)
        lines.gate.set()
        batch = await stand.ended(batch_id)
    assert (batch.status, len(await stand.outcomes(batch))) == (BatchState.COMPLETED, 9)
    with pytest.raises(FileNotFound):
        await stand.files.get(batch.asked.input_file_id, sees=None)


async def test_a_bug_in_a_chunk_does_not_fail_the_others(
    stand: Stand, lines: Echoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk.runner.chunks.FIRST_PAUSE", 0.0)
    content = b"".join(request(str(number), "bug" if number == 2 else "fine") for number in range(6))
    async with stand.runner():
        batch = await stand.ended(await stand.create(content))
    assert batch.status is BatchState.COMPLETED
    expected = {str(number): "internal_error" if number in (2, 3) else "fine" for number in range(6)}
    assert await stand.outcomes(batch) == expected


async def test_cancel_keeps_the_outcomes_so_far(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
        assert (await stand.batches.cancel(batch_id, sees=None)).status is BatchState.CANCELLING
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.CANCELLED
    assert await stand.outcomes(batch) == {"0": "text 0", "1": "text 1", "2": "text 2"}
    assert batch.counts == (9, 3, 0)
    assert max(lines.began) == 5, "no further chunk began"
    assert lines.most_at_once == 2


async def test_cancel_before_a_runner_took_it(stand: Stand, lines: Echoing) -> None:
    batch_id = await stand.create(LINES)
    await stand.batches.cancel(batch_id, sees=None)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert (batch.status, batch.output_file_id, batch.counts) == (BatchState.CANCELLED, None, (0, 0, 0))
    assert not lines.began


async def test_cancel_after_its_runner_was_stopped(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
    await stand.batches.cancel(batch_id, sees=None)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.CANCELLED
    assert await stand.outcomes(batch) == {"0": "text 0", "1": "text 1"}


async def expire(stand: Stand, batch_id: str) -> None:
    await stand.set(batch_id, "expires_at", "1")


async def test_the_end_of_the_window(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
        await expire(stand, batch_id)
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.EXPIRED
    assert batch.expired_at is not None
    found = await stand.outcomes(batch)
    assert found == {str(number): f"text {number}" if number < 3 else "batch_expired" for number in range(9)}
    assert batch.counts == (9, 3, 6)
    [row] = [each for each in await stand.rows(batch.error_file_id) if each["custom_id"] == "8"]
    assert row["response"] is None
    assert "expired" in row["error"]["message"]


async def test_the_end_of_the_window_before_a_runner_took_it(stand: Stand) -> None:
    batch_id = await stand.create(LINES)
    await expire(stand, batch_id)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert (batch.status, batch.counts) == (BatchState.EXPIRED, (9, 0, 9))
    assert set((await stand.outcomes(batch)).values()) == {"batch_expired"}


async def test_a_stopped_runner_gives_its_batches_back(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
    lines.gate.set()
    taken = await stand.runs.take()
    assert taken is not None
    assert not taken.taken_over
    await stand.runs.release(taken)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert len(await stand.outcomes(batch)) == 9
    assert lines.began[1] == lines.began[2] == 1, "a recorded chunk does not run again"


async def test_a_runner_that_lost_its_lease_changes_nothing(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
        # another runner takes it while the first one still works
        await stand.set(batch_id, "token", "another")

        async def given_up() -> bool:
            return lines._running == 0

        await until(given_up)
        lines.gate.set()
        assert (await stand.batch(batch_id)).counts.completed == 2
        await lapse(stand.shard, batch_id)
        batch = await stand.ended(batch_id)
    assert len(await stand.outcomes(batch)) == 9


async def test_two_runners_share_the_batches(stand: Stand) -> None:
    async with stand.runner(), stand.runner():
        made = [await stand.create(LINES, owner) for owner in ("alice", "bob", "alice")]
        batches = [await stand.ended(batch_id) for batch_id in made]
    for batch in batches:
        assert await stand.outcomes(batch) == OUTCOMES


async def test_at_most_so_many_batches_at_once(stand: Stand, lines: Echoing) -> None:
    async with stand.runner(at_once=2):
        made = [await stand.create(request("a", "wait")) for _ in range(3)]

        async def two() -> bool:
            return lines._running == 2

        await until(two)
        assert (await stand.batch(made[2])).status is BatchState.VALIDATING
        assert await stand.runs.take() is not None, "it is open for another process"
        lines.gate.set()
        for batch_id in made[:2]:
            await stand.ended(batch_id)


class Unsteady(Storage):
    """A storage that is away the first times that something is done with certain paths."""

    def __init__(self, settings: Settings, which: str) -> None:
        super().__init__(settings)
        self.which = which
        self.left = 3

    async def put(self, path: str, parts: AsyncIterable[bytes]) -> int:
        self._check(f"put {path}")
        return await super().put(path, parts)

    async def read(self, path: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self._check(f"read {path}")
        async for part in super().read(path, start, end):
            yield part

    async def delete(self, paths: Sequence[str]) -> None:
        self._check("delete")
        await super().delete(paths)

    def _check(self, what: str) -> None:
        if self.left and re.search(self.which, what):
            self.left -= 1
            raise StorageUnavailable("away")


@pytest.mark.parametrize(
    "which",
    [
        pytest.param("read contents/", id="while the input is read"),
        pytest.param("put .*input", id="while the input is copied"),
        pytest.param("put .*chunks", id="at the list of chunks"),
        pytest.param("read .*input", id="while lines are read"),
        pytest.param("put .*/[0-9]+-", id="while a part is stored"),
        pytest.param("read .*/[0-9]+-", id="while parts are read"),
        pytest.param("put contents/", id="while the output is written"),
        pytest.param("delete", id="while parts are deleted"),
    ],
)
async def test_a_storage_that_goes_away_and_comes_back(stand: Stand, which: str) -> None:
    batch_id = await stand.create(LINES)
    stand.storage = storage = Unsteady(stand.settings, which)
    stand.files = Files(stand.shard, storage)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert storage.left == 0
    assert batch.status is BatchState.COMPLETED
    assert await stand.outcomes(batch) == OUTCOMES


async def test_lost_objects_fail_the_batch_clearly(stand: Stand, lines: Echoing, tmp_path: Path) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
        async for page in stand.storage.list(f"batches/{batch_id}"):
            await stand.storage.delete([found.path for found in page])
        lines.gate.set()
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.FAILED
    assert [fault.code for fault in batch.faults] == ["data_lost"]
