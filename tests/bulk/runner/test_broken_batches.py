"""Batches that cannot be continued end, and what a process does late changes nothing."""

import re

import pytest

from bulk.batches.batch import BatchState
from bulk.batches.runs import NewOutput
from bulk.runner import batch_run
from bulk.runner import runner as runner_module
from bulk.runner.batch_run import MOST_LOST, SUSPECT
from bulk.runner.lines.interface import Line, Rows
from bulk.runner.outputs import Outputs
from bulk.runner.parts import Chunk, Parts
from jobs.errors import ObjectNotFound
from tests.bulk.contents import once, read, stored
from tests.bulk.runner.echoing import Echoing, request
from tests.bulk.runner.stand import Stand
from tests.bulk.runner.test_runner import LINES, OUTCOMES, held
from tests.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "POLL", 0.01)


async def test_a_cancelled_batch_whose_objects_are_lost_ends(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
    await stand.batches.cancel(batch_id, sees=None)
    async for page in stand.storage.list(f"batches/{batch_id}"):
        await stand.storage.delete([found.path for found in page])
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.FAILED
    assert [fault.code for fault in batch.faults] == ["data_lost"]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_bug_ends_the_batch(stand: Stand, monkeypatch: pytest.MonkeyPatch, cancelled: bool) -> None:
    """Otherwise it would be taken again and again, and never end."""
    monkeypatch.setattr("bulk.runner.batch_run.FIRST_PAUSE", 0.0)
    tries = 0

    async def broken(_: Outputs) -> list[NewOutput]:
        nonlocal tries
        tries += 1
        raise ValueError("a bug")

    monkeypatch.setattr(Outputs, "write", broken)
    batch_id = await stand.create(LINES)
    if cancelled:
        await stand.batches.cancel(batch_id, sees=None)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.FAILED
    assert [fault.code for fault in batch.faults] == ["internal_error"]
    again = 0 if cancelled else 1  # for the chunks that are recorded
    assert tries == batch_run.TRIES + again


async def test_a_shorter_limit_of_lines_holds_for_later_files(stand: Stand, lines: Echoing) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
    stand.settings = stand.settings.model_copy(update={"max_request_bytes": 10})
    lines.gate.set()
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.COMPLETED
    assert batch.counts == (9, 9, 0)


async def test_a_late_runner_does_not_overwrite_the_files_of_its_successor(stand: Stand) -> None:
    """Its process was stopped while it wrote them, for longer than its lease."""
    batch_id = await stand.create(LINES)
    late = await stand.runs.take()
    assert late is not None
    await stand.runs.release(late)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    parts = Parts(stand.storage, batch_id)
    fewer = await parts.put_part(0, Rows([b"{}"], [b"{}"]))
    assert len(await Outputs(stand.files, parts, late, [fewer]).write()) == 2
    assert await stand.outcomes(batch) == OUTCOMES


@pytest.mark.parametrize(
    ("error", "code"), [(ObjectNotFound("gone"), "data_lost"), (ValueError("a bug"), "internal_error")]
)
async def test_a_batch_that_fails_cancels_its_jobs_and_keeps_what_is_done(
    stand: Stand, lines: Echoing, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    """Its third chunk cannot be read while its second one waits; where data are lost, none can afterwards."""
    monkeypatch.setattr("bulk.runner.batch_run.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("bulk.runner.batch_run.TRIES", 2)
    original, lost = Parts.lines, False

    async def failing(parts: Parts, name: str, chunk: Chunk, endpoint: str) -> list[Line]:
        async def waits() -> bool:
            return 3 in lines.began

        nonlocal lost
        if chunk.first < 5 and not lost:
            return await original(parts, name, chunk, endpoint)
        await until(waits)
        lost = isinstance(error, ObjectNotFound)
        raise error

    monkeypatch.setattr(Parts, "lines", failing)
    content = b"".join(request(str(number), "wait" if number == 2 else "fine") for number in range(6))
    async with stand.runner():
        batch = await stand.ended(await stand.create(content))
    assert batch.status is BatchState.FAILED
    assert [fault.code for fault in batch.faults] == [code]
    assert 3 in lines.stopped
    assert await stand.outcomes(batch) == {"0": "fine", "1": "fine"}


@pytest.mark.parametrize(("lost", "files"), [(MOST_LOST, True), (MOST_LOST + 1, False)])
async def test_a_batch_that_ends_each_runner_fails(
    stand: Stand, lines: Echoing, lost: int, files: bool
) -> None:
    """The chunks that are recorded are kept; but not if that ended the last runner."""
    async with stand.runner():
        batch_id = await held(stand, lines)
    await stand.lose(batch_id, lost)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.FAILED
    assert [fault.code for fault in batch.faults] == ["runner_lost"]
    assert f"{lost + 1} processes" in batch.faults[0].message
    assert (batch.output_file_id is not None, bool(lines.stopped)) == (files, files)
    if files:
        assert await stand.outcomes(batch) == {"0": "text 0", "1": "text 1"}


async def test_a_batch_is_taken_over_so_often(stand: Stand, lines: Echoing) -> None:
    batch_id = await stand.create(LINES)
    await stand.lose(batch_id, MOST_LOST - 1)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert (batch.status, batch.lost) == (BatchState.COMPLETED, 0)


async def test_nothing_begins_beside_a_batch_that_may_end_its_runner(stand: Stand, lines: Echoing) -> None:
    """Else the others would be lost with it, and fail as it does."""
    async with stand.runner():
        suspect = await held(stand, lines)
    await stand.lose(suspect, SUSPECT - 1)
    lines.began.clear()
    innocent = await stand.create(request("a"))
    async with stand.runner():

        async def runs() -> bool:
            return len(lines.began) == 3

        await until(runs)
        taken = await stand.runs.take()
        assert taken is not None
        assert taken.batch.id == innocent, "no process has it"
        await stand.runs.release(taken)
        lines.gate.set()
        for batch_id in (suspect, innocent):
            assert (await stand.ended(batch_id)).status is BatchState.COMPLETED


async def truncate(stand: Stand, pattern: str) -> None:
    """Halves the one object whose path matches."""
    [path] = [path for path in await stored(stand.storage, "") if re.search(pattern, path)]
    content = await read(stand.storage, path)
    await stand.storage.put(path, once(content[: len(content) // 2]))


@pytest.mark.parametrize("pattern", [r"\.input$", r"\.chunks$", "/0-[0-9a-f]+$"])
async def test_a_batch_whose_objects_are_truncated_fails_at_once(
    stand: Stand, lines: Echoing, pattern: str
) -> None:
    async with stand.runner():
        batch_id = await held(stand, lines)
    await truncate(stand, pattern)
    lines.gate.set()
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.FAILED
    assert [fault.code for fault in batch.faults] == ["data_lost"]


async def test_a_batch_whose_file_is_truncated_fails_at_once(stand: Stand) -> None:
    batch_id = await stand.create(LINES)
    await truncate(stand, "contents/")
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert [fault.code for fault in batch.faults] == ["data_lost"]
    assert "bytes, not" in batch.faults[0].message
