"""Leases when Redis stood still: what nobody could renew is not taken from a worker that lives."""

import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.leasing import Claimed
from jobs.settings import Settings
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue
from tests.waiting import until


@pytest.fixture
async def lapsed(queue: JobQueue) -> str:
    """A running job, by its id, whose lease ran out, while sweeps came as they should."""
    job, _ = await queue.submit(new_job())
    await queue.claim(MODEL, 1)
    await queue.lapse(job.id)
    return job.id


async def test_a_lapsed_lease_is_still_its_holders_until_it_is_given_back(queue: JobQueue) -> None:
    for _ in range(2):
        await queue.submit(new_job())
    [renewed, finished], _ = await queue.claim(MODEL, 2)
    await queue.lapse(renewed.id)
    await queue.lapse(finished.id)
    assert await queue.finish(MODEL, [ending(finished)]) == set()
    assert await queue.renew(MODEL, [renewed]) == (set(), set())
    assert await queue.sweep(MODEL) == (0, 0, 0)
    assert (await queue.read(renewed.id)).status == "running"


async def test_sweeps_that_come_steadily_give_back(queue: JobQueue, lapsed: str) -> None:
    assert await queue.sweep(MODEL) == (1, 0, 0)
    assert (await queue.read(lapsed)).status == "queued"


async def test_after_a_quiet_a_lease_gets_grace(queue: JobQueue, redis: ArqRedis, lapsed: str) -> None:
    await redis.delete(*queue.everywhere(keys.SWEPT))  # as after three sweeps that did not come
    assert await queue.sweep(MODEL) == (0, 0, 0)
    assert (await queue.read(lapsed)).status == "running"


async def test_quiet_after_quiet_does_not_keep_a_dead_workers_lease(
    redis: ArqRedis, settings: Settings
) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"lease": 0.5}), [MODEL])
    await queue.submit(new_job())
    await queue.claim(MODEL, 1)

    async def given_back() -> bool:
        await redis.delete(*queue.everywhere(keys.SWEPT))
        return await queue.sweep(MODEL) == (1, 0, 0)

    await until(given_back)


async def test_a_renewed_lease_gets_grace_again(queue: JobQueue, redis: ArqRedis, lapsed: str) -> None:
    [claimed] = await claim_again(queue, lapsed)
    for _ in range(2):
        await redis.delete(*queue.everywhere(keys.SWEPT))
        await redis.zadd(await queue.beside(keys.QUEUE, lapsed), {lapsed: keys.RUNNING + 1}, xx=True)
        assert await queue.sweep(MODEL) == (0, 0, 0)
        assert await queue.renew(MODEL, [claimed]) == (set(), set())


async def claim_again(queue: JobQueue, job_id: str) -> list[Claimed]:
    """Gives the lapsed job back, and leases it anew."""
    assert await queue.sweep(MODEL) == (1, 0, 0)
    claimed, _ = await queue.claim(MODEL, 1)
    assert [job.id for job in claimed] == [job_id]
    return claimed


async def test_a_job_knows_that_it_comes_back_from_a_lost_worker(queue: JobQueue, lapsed: str) -> None:
    [claimed] = await claim_again(queue, lapsed)
    assert (claimed.returned, claimed.attempts) == (True, 0)
    fresh, _ = await queue.submit(new_job())
    [other], _ = await queue.claim(MODEL, 1)
    assert (other.id, other.returned) == (fresh.id, False)


async def test_starting_twice_charges_once(queue: JobQueue) -> None:
    """As when the answer was lost, and redis-py sent the script again."""
    job, _ = await queue.submit(new_job())
    claimed, _ = await queue.claim(MODEL, 1)
    await queue.start(claimed)
    await queue.start(claimed)
    assert (await queue.read(job.id)).attempts == 1


@pytest.mark.parametrize(("uncharged", "attempts"), [(True, 0), (False, 1)])
async def test_a_start_that_shall_not_count(queue: JobQueue, uncharged: bool, attempts: int) -> None:
    job, _ = await queue.submit(new_job())
    claimed, _ = await queue.claim(MODEL, 1)
    await queue.start(claimed)
    await queue.release(MODEL, [(claimed[0], 0)], uncharged=uncharged)
    given_back = await queue.read(job.id)
    assert (given_back.status, given_back.attempts) == ("queued", attempts)


async def test_one_that_came_back_and_is_cancelled_has_no_start(queue: JobQueue, redis: ArqRedis) -> None:
    """An attempt was made, but what it began no longer counts; nothing has begun since."""
    job, _ = await queue.submit(new_job())
    for _ in range(2):
        [claimed], _ = await queue.claim(MODEL, 1)
        if not claimed.attempts:
            await queue.start([claimed])
            await queue.release(MODEL, [(claimed, 0)], uncharged=False)
    cancelled = await queue.cancel(job.id)
    assert (cancelled.status, cancelled.attempts, cancelled.started_at) == ("cancelled", 1, None)
