"""A queue gets more shards while it is used: nothing is lost, and what was before is found where it is."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import structlog
from arq.connections import ArqRedis

from jobs.errors import IdempotencyMismatch
from jobs.ledger import keys, shards
from jobs.ledger.ids import new_id, shard_of
from jobs.monitoring.upkeep import Upkeep
from jobs.settings import Settings
from jobs.store.connection import cancel
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue
from tests.waiting import until

Of = Callable[[int], JobQueue]


@pytest.fixture
async def process(redis: ArqRedis, settings: Settings) -> AsyncIterator[Of]:
    """Makes the queue of another process with so many shards in its settings."""
    made: list[JobQueue] = []

    def queue(number: int) -> JobQueue:
        made.append(JobQueue(redis, settings.model_copy(update={"shards": number}), [MODEL]))
        return made[-1]

    yield queue
    for each in made:
        await each.close()


async def age(queue: JobQueue, seconds: float) -> None:
    """Makes the queue's growth that much older."""
    name = keys.SHARDS.of()
    for number, at in (await queue.redis.hgetall(name)).items():  # type: ignore[misc]
        await queue.redis.hset(name, number, str(int(at) - int(seconds * 1000)))  # type: ignore[misc]


async def ids(queue: JobQueue) -> set[str]:
    return {job.id for job in (await queue.recent(100))[0]}


async def test_a_queue_grows_while_jobs_wait_and_run(process: Of) -> None:
    """What is read, listed, cancelled and claimed then is in the first shard and in new ones."""
    before, after = process(1), process(4)
    old = [(await before.submit(new_job()))[0].id for _ in range(4)]
    [running], _ = await before.claim(MODEL, 1)
    await after.shards.grow()
    new = [(await after.submit(new_job(), job_id=new_id(n)))[0].id for n in range(4)]
    await before.shards.grow()
    assert [len(queue.shards) for queue in (before, after)] == [4, 4]
    for queue in (before, after):
        assert await ids(queue) == {*old, *new}
        assert {(await queue.read(job_id)).id for job_id in (*old, *new)} == {*old, *new}
        assert (await queue.depth())[MODEL].unfinished == 8
    assert await before.finish(MODEL, [ending(running)]) == set()
    ended = [running.id, old[-1], new[-1]]
    assert (await after.cancel(old[-1])).status == "cancelled"
    assert (await before.cancel(new[-1])).status == "cancelled"
    claimed, left = await before.claim(MODEL, 100)
    assert ({job.id for job in claimed}, left) == ({*old, *new} - {*ended}, 0)
    assert await before.finish(MODEL, [ending(job) for job in claimed]) == set()
    assert {(await after.read(job_id)).status for job_id in (*old, *new)} == {"succeeded", "cancelled"}


async def test_processes_that_run_learn_it_by_their_upkeep(process: Of) -> None:
    running, started = process(1), process(1)
    await running.submit(new_job())
    upkeep = asyncio.create_task(Upkeep(running.shards, structlog.get_logger()).run())
    try:
        await process(3).shards.grow()

        async def knows() -> bool:
            return len(running.shards) == 3

        await until(knows)
    finally:
        await cancel(upkeep)
    await process(2).shards.grow()
    await started.shards.grow()
    assert len(started.shards) == 3, "it never gets fewer"


async def test_new_shards_get_jobs_once_every_process_knows_them(
    process: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job's id may be sent to a process that does not know its shard yet."""
    monkeypatch.setattr(shards, "HOME", 0.0001)  # otherwise jobs of a moment have the same shard
    late, first = process(1), process(4)
    await late.submit(new_job())
    for _ in range(20):
        job, _ = await first.submit(new_job())
        assert (await late.read(job.id)).status == "queued"
    await age(first, shards.SETTLED)
    await first.shards.grow()

    async def used() -> bool:
        return shard_of((await first.submit(new_job()))[0].id) > 0

    await until(used)


async def test_a_new_queue_uses_all_its_shards_at_once(process: Of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "HOME", 0.0001)
    monkeypatch.setattr(shards, "SETTLED", 600.0)
    queue = process(4)
    found: set[int] = set()

    async def all_used() -> bool:
        found.add(shard_of((await queue.submit(new_job()))[0].id))
        return found == {0, 1, 2, 3}

    await until(all_used)


KEYS = [f"key {i}" for i in range(24)]


@pytest.mark.parametrize("settled", [False, True])
async def test_an_idempotency_key_from_before_a_growth_still_replays(process: Of, settled: bool) -> None:
    before, after = process(1), process(4)
    jobs = {key: (await before.submit(new_job(), idempotency_key=key))[0].id for key in KEYS}
    await after.shards.grow()
    if settled:
        await age(after, shards.SETTLED + 1)
        await after.shards.grow()
        await before.shards.grow()
    for queue in (after, before):
        for key, job_id in jobs.items():
            again, replayed = await queue.submit(new_job(), idempotency_key=key)
            assert (again.id, replayed) == (job_id, True)
            with pytest.raises(IdempotencyMismatch):
                await queue.submit(new_job("another"), idempotency_key=key)
    assert (await after.depth())[MODEL].waiting == len(KEYS)


@pytest.mark.parametrize("settled", [False, True])
async def test_an_idempotency_key_after_a_growth_makes_one_job(process: Of, settled: bool) -> None:
    """Also at a process that has not learned of the growth, until new shards are used."""
    before, after = process(1), process(4)
    await before.submit(new_job())
    await after.shards.grow()
    if settled:
        await age(after, shards.SETTLED + 1)
        await after.shards.grow()
        await before.shards.grow()
    found: set[int] = set()
    for key in KEYS:
        first, replayed = await after.submit(new_job(), idempotency_key=key)
        found.add(shard_of(first.id))
        assert not replayed
        again, replayed = await before.submit(new_job(), idempotency_key=key)
        assert (again.id, replayed) == (first.id, True)
    assert found == ({0, 1, 2, 3} if settled else {0})


async def test_a_key_is_found_after_two_growths(process: Of) -> None:
    sizes = (1, 2, 5)
    jobs: dict[str, str] = {}
    for size in sizes:
        queue = process(size)
        await queue.shards.grow()
        await age(queue, shards.SETTLED + 1)
        await queue.shards.grow()
        for key in KEYS:
            jobs |= {f"{size} {key}": (await queue.submit(new_job(), idempotency_key=f"{size} {key}"))[0].id}
    last = process(5)
    for key, job_id in jobs.items():
        again, replayed = await last.submit(new_job(), idempotency_key=key)
        assert (again.id, replayed) == (job_id, True), key


async def test_jobs_of_release_0_1_are_found_in_the_first_shard(process: Of) -> None:
    """Their ids have random digits where a shard's number is now."""
    before, after = process(1), process(4)
    random = [new_id(number) for number in (0, 1, 2, 3, 4, 0x7F, 0xFF)]
    for job_id in random:
        await before.submit(new_job(), job_id=job_id)
    await after.shards.grow()
    assert await ids(after) == set(random)
    for job_id in random:
        assert (await after.read(job_id)).status == "queued"
        assert (await after.inputs_of(job_id)).inputs == ["A fine film."]
        assert list(await after.find(job_id[-7:], 2)) == [job_id]
        following = [[job.id for job in (await queue.recent(100, job_id))[0]] for queue in (before, after)]
        assert following[0] == following[1]
    claimed, _ = await after.claim(MODEL, 100)
    assert {job.id for job in claimed} == set(random)
    for job in claimed[:3]:
        running = await after.read(job.id)
        assert await after.lease(running) is not None
    assert await after.finish(MODEL, [ending(job) for job in claimed[:3]]) == set()
    assert {(await after.read(job.id)).status for job in claimed[:3]} == {"succeeded"}
    assert {(await after.cancel(job.id)).status for job in claimed[3:]} == {"cancelled"}
