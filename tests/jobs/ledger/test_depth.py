"""What the queue tells of its depth: the age of the oldest job that waits."""

import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.wire import serialize
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import JobQueue
from tests.waiting import until


async def oldest(queue: JobQueue) -> int:
    return (await queue.depth())[MODEL].oldest_ms


async def older(queue: JobQueue, job_id: str, ms: int) -> None:
    """Makes a waiting job as if it had been accepted so much earlier."""
    redis, key = queue.redis, await queue.key(keys.JOB, job_id)
    payload = await redis.get(key)
    assert payload is not None
    created = int.from_bytes(payload[-8:], "big") - ms
    await redis.set(key, payload[:-8] + created.to_bytes(8, "big"))
    await redis.zincrby(await queue.beside(keys.QUEUE, job_id), -ms, job_id)


async def test_nothing_waits_so_nothing_is_old(queue: JobQueue) -> None:
    assert await oldest(queue) == 0
    await queue.submit(new_job())
    await queue.claim(MODEL, 1)
    assert await oldest(queue) == 0, "a running job does not wait"


async def test_a_head_start_is_no_age(queue: JobQueue) -> None:
    """A job of high priority stands first, but has not waited for longer."""
    job, _ = await queue.submit(new_job(priority="low"))
    await older(queue, job.id, 20_000)
    high, _ = await queue.submit(new_job(priority="high"))
    assert 20_000 <= await oldest(queue) < 30_000
    [first], _ = await queue.claim(MODEL, 1)
    assert first.id == high.id


async def test_a_job_that_comes_back_has_waited_since_it_was_accepted(
    queue: JobQueue, redis: ArqRedis
) -> None:
    """A lost worker's jobs are put before all others by a day, which is no age either."""
    job, _ = await queue.submit(new_job())
    await queue.claim(MODEL, 1)
    await queue.sweep(MODEL)  # grace, for nobody has swept
    await redis.zadd(await queue.beside(keys.QUEUE, job.id), {job.id: keys.RUNNING})

    async def given_back() -> bool:
        return (await queue.sweep(MODEL))[0] == 1

    await until(given_back)
    assert await oldest(queue) < 60_000


@pytest.mark.parametrize("payload", [b"\x80pickled", b"", b"\xcf" + bytes(8)])
async def test_what_tells_no_time_is_as_old_as_its_place(
    queue: JobQueue, redis: ArqRedis, payload: bytes
) -> None:
    seconds, _ = await redis.time()
    await redis.set(keys.JOB.of("stock"), payload, ex=60)
    await redis.zadd(keys.QUEUE.of(MODEL), {"stock": (seconds - 5) * 1000})
    assert 5_000 <= await oldest(queue) < 60_000


async def test_a_stock_clients_job_has_an_age(queue: JobQueue, redis: ArqRedis) -> None:
    seconds, _ = await redis.time()
    created = (seconds - 5) * 1000
    payload = serialize({"t": None, "f": "infer", "a": ["x"], "k": {}, "et": created})
    await redis.set(keys.JOB.of("stock"), payload, ex=60)
    await redis.zadd(keys.QUEUE.of(MODEL), {"stock": created - 86_400_000})
    assert 5_000 <= await oldest(queue) < 60_000
