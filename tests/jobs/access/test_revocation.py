"""All unfinished jobs of an owner are cancelled, however many there are; queued ones first."""

import pytest
from msgspec.structs import replace

from jobs.access import revocation
from jobs.access.revocation import cancel_jobs
from jobs.errors import InvalidRequest
from jobs.ledger.listing import SEARCHED
from jobs.owners import Sender
from jobs.schema import Job, JobState
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import MODEL, JobQueue


async def submitted(queue: JobQueue, owner: str, count: int = 1, priority: str = "normal") -> list[str]:
    jobs = [replace(new_job(f"{i}", priority=priority), sender=Sender(owner)) for i in range(count)]
    return [(await queue.submit(job))[0].id for job in jobs]


async def states(queue: JobQueue, ids: list[str]) -> set[JobState]:
    return {(await queue.read(job_id)).status for job_id in ids}


async def test_more_jobs_than_a_page_examines(queue: JobQueue) -> None:
    """The oldest still wait, behind more ended ones than a page examines."""
    queued = await submitted(queue, "alice", 5)
    ended = await submitted(queue, "alice", SEARCHED + 5)
    for job_id in ended:
        await queue.cancel(job_id)
    queued += await submitted(queue, "alice", SEARCHED + 20)
    other = await submitted(queue, "bob")
    assert await cancel_jobs(queue, "alice") == len(queued)
    assert await states(queue, queued) == {JobState.CANCELLED}
    assert await states(queue, other) == {JobState.QUEUED}
    assert await cancel_jobs(queue, "alice") == 0


async def test_running_jobs_are_cancelled_last(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the newest jobs are read first."""
    ids = await submitted(queue, "alice", 2) + await submitted(queue, "alice", 2, priority="high")
    claimed, _ = await queue.claim(MODEL, 2)
    running = {job.id for job in claimed}  # with several shards not always those of the higher priority
    waiting = set(ids) - running
    assert len(waiting) == len(running) == 2
    cancelled: list[str] = []
    cancel = queue.cancel

    async def noting(job_id: str, inline: int, *, sees: str | None) -> Job:
        cancelled.append(job_id)
        return await cancel(job_id, inline, sees=sees)

    monkeypatch.setattr(queue, "cancel", noting)
    monkeypatch.setattr(revocation, "PAGE", 1)
    assert await cancel_jobs(queue, "alice") == 4
    assert (set(cancelled[:2]), set(cancelled[2:])) == (waiting, running)


async def test_a_cursor_that_is_too_old_ends_the_listing(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submitted(queue, "alice", 3)
    monkeypatch.setattr(revocation, "PAGE", 2)
    recent = queue.recent

    async def trimmed(limit: int, after: str | None = None, *given: object, **how: object) -> object:
        if after is not None:
            raise InvalidRequest("cursor: too old")
        return await recent(limit, after, *given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(queue, "recent", trimmed)
    assert await cancel_jobs(queue, "alice") == 3, "each listing begins with the newest two"
