"""Leases when Redis stood still: what nobody could renew is not taken from a worker that lives."""

import pytest
from arq.connections import ArqRedis

from jobs import keys
from jobs.queue import JobQueue
from tests.jobs.test_queue import MODEL, ending, new_job

QUEUE = keys.queue_name(MODEL)


@pytest.fixture
async def lapsed(queue: JobQueue, redis: ArqRedis) -> str:
    """A running job, by its id, whose lease ran out, while sweeps came as they should."""
    job, _ = await queue.submit(new_job())
    await queue.claim(MODEL, 1)
    await queue.sweep(MODEL)
    await redis.zadd(QUEUE, {job.id: keys.RUNNING + 1}, xx=True)
    return job.id


async def test_a_lapsed_lease_is_still_its_holders_until_it_is_given_back(
    queue: JobQueue, redis: ArqRedis
) -> None:
    for _ in range(2):
        await queue.submit(new_job())
    [renewed, finished], _ = await queue.claim(MODEL, 2)
    await redis.zadd(QUEUE, {renewed.id: keys.RUNNING + 1, finished.id: keys.RUNNING + 1}, xx=True)
    assert await queue.finish(MODEL, [ending(finished)]) == set()
    assert await queue.renew(MODEL, [renewed]) == (set(), set())
    await queue.sweep(MODEL)
    assert (await queue.read(renewed.id)).status == "running"


async def test_sweeps_that_come_steadily_give_back(queue: JobQueue, lapsed: str) -> None:
    assert await queue.sweep(MODEL) == (1, 0, 0)
    assert (await queue.read(lapsed)).status == "queued"


async def test_after_a_quiet_leases_get_grace_once(queue: JobQueue, redis: ArqRedis, lapsed: str) -> None:
    await redis.delete(keys.SWEPT.of(MODEL))  # as after three sweeps that did not come
    assert await queue.sweep(MODEL) == (0, 0, 0)
    assert (await queue.read(lapsed)).status == "running"

    await redis.zadd(QUEUE, {lapsed: keys.RUNNING + 1}, xx=True)
    assert await queue.sweep(MODEL) == (1, 0, 0), "its worker had its chance"


async def test_starting_twice_charges_once(queue: JobQueue) -> None:
    """As when the answer was lost, and redis-py sent the script again."""
    job, _ = await queue.submit(new_job())
    claimed, _ = await queue.claim(MODEL, 1)
    await queue.start(claimed)
    await queue.start(claimed)
    assert (await queue.read(job.id)).attempts == 1
