"""Partial answers in Redis: appended once and in order by the lease's holder, and gone after the job."""

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.ledger import keys, partials
from jobs.ledger.leasing import Claimed
from jobs.ledger.partials import Output, Restarted
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue

ONE, TWO = Output(0, "Once upon", 2), Output(0, ' a "line\nbreak"', 4)


async def claimed(queue: JobQueue) -> Claimed:
    await queue.submit(replace(new_job("x"), stream=True))
    [job], _ = await queue.claim(MODEL, 1)
    return job


async def found(queue: JobQueue, job_id: str, after: int = 0) -> list[Output | Restarted]:
    return [line.decoded() for line in partials.lines(await queue.following.partials(job_id, after), after)]


async def test_partial_answers_are_appended_once_and_read_from_any_position(queue: JobQueue) -> None:
    job = await claimed(queue)
    first = await queue.append(job, 0, ONE)
    assert await queue.append(job, 0, ONE) == first, "sent again because the answer was lost"
    assert await queue.append(job, first, TWO, Restarted(0)) > first
    assert await found(queue, job.id) == [ONE, TWO, Restarted(0)]
    assert await found(queue, job.id, first) == [TWO, Restarted(0)]
    assert await queue.append(job, first + 1, ONE) == -1, "there would be a gap"


async def test_a_worker_without_the_lease_appends_nothing(queue: JobQueue) -> None:
    lost = await claimed(queue)
    length = await queue.append(lost, 0, ONE)
    await queue.lapse(lost.id)
    await queue.sweep(MODEL)
    [job], _ = await queue.claim(MODEL, 1)
    assert await queue.append(lost, length, TWO) == -1
    assert await queue.append(job, -1, Restarted(0), ONE) > length
    assert await found(queue, job.id) == [ONE, Restarted(0), ONE]


@pytest.mark.parametrize("end", ["finish", "cancel", "finish soon"])
async def test_they_vanish_soon_after_the_end(queue: JobQueue, redis: ArqRedis, end: str) -> None:
    if end == "finish soon":
        await queue.submit(replace(new_job("x"), stream=True, result_ttl=5.0))
        [job], _ = await queue.claim(MODEL, 1)
    else:
        job = await claimed(queue)
    length = await queue.append(job, 0, ONE)
    key = await queue.key(keys.PARTIALS, job.id)
    assert await redis.pttl(key) > 3_600_000
    if end == "cancel":
        await queue.cancel(job.id)
    else:
        await queue.finish(MODEL, [ending(job)])
    assert 0 < await redis.pttl(key) <= (5_000 if end == "finish soon" else 60_000)
    assert await queue.append(job, length, TWO) == -1
