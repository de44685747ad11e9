"""Batches that cannot be continued end, and what a process does late changes nothing."""

import pytest

from bulk.batches.batch import BatchState
from bulk.batches.runs import NewOutput
from bulk.runner import batch_run
from bulk.runner import runner as runner_module
from bulk.runner.lines.interface import Rows
from bulk.runner.outputs import Outputs
from bulk.runner.parts import Parts
from tests.bulk.runner.echoing import Echoing
from tests.bulk.runner.stand import Stand
from tests.bulk.runner.test_runner import LINES, OUTCOMES, held


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
    assert tries == batch_run.TRIES


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
