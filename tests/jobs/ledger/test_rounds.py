"""Claims of a worker from four shards: the most urgent job first, and no shard delays the others."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueDamaged
from jobs.ledger import keys, rounds
from jobs.ledger.claims import Claims
from jobs.ledger.ids import new_id, shard_of
from jobs.ledger.leasing import Claimed
from jobs.ledger.rounds import Rounds
from jobs.settings import Settings
from tests.jobs.ledger.apart import apart
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue
from tests.waiting import until

NUMBER = 4


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": NUMBER})


@pytest.fixture
async def worker(queue: JobQueue) -> AsyncIterator[Rounds]:
    worker = Rounds(queue.shards, MODEL, "one")
    yield worker
    await worker.close()


@pytest.fixture
async def other(queue: JobQueue) -> AsyncIterator[Rounds]:
    other = Rounds(queue.shards, MODEL, "other")
    yield other
    await other.close()


async def waiting(queue: JobQueue, *places: tuple[int, int]) -> list[str]:
    """The ids of waiting jobs: each in a shard and with a score; the lowest is the most urgent."""
    made = []
    for number, score in places:
        job, _ = await queue.submit(new_job(), job_id=new_id(number))
        await queue.redis.zadd(await queue.beside(keys.QUEUE, job.id), {job.id: score})
        made.append(job.id)
    await queue.redis.delete(*queue.everywhere(keys.DOORBELL))
    return made


def forget(worker: Rounds) -> None:
    """As if the worker had claimed nothing for a while."""
    for view in worker._views:
        view.looked = -math.inf


def of(claimed: list[Claimed]) -> list[str]:
    return [job.id for job in claimed]


@pytest.mark.parametrize("at_once", [True, False])
async def test_jobs_are_claimed_by_urgency_whatever_their_shard(
    queue: JobQueue, worker: Rounds, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Whether the worker claims again at once, or only after the time for which it trusts what it saw."""
    monkeypatch.setattr(rounds, "LOOK_EVERY", 600.0)
    places = [(3, 7), (1, 3), (0, 6), (2, 1), (1, 2), (3, 5), (0, 8), (2, 4)]
    made = await waiting(queue, *places)
    by_urgency = sorted(made, key=lambda job_id: places[made.index(job_id)][1])
    for job_id in by_urgency[:4]:
        if not at_once:
            forget(worker)
        assert of((await worker.claim(1))[0]) == [job_id]
    claimed, left = await worker.claim(100)
    assert (sorted(of(claimed)), left) == (sorted(by_urgency[4:]), 0)


async def test_a_shard_with_many_jobs_does_not_keep_others_waiting(queue: JobQueue, worker: Rounds) -> None:
    """The first shard could fill every claim."""
    await waiting(queue, *((0, 10 + i) for i in range(20)))
    [urgent] = await waiting(queue, (3, 5))
    claimed, left = await worker.claim(4)
    assert (of(claimed)[0], len(claimed), left) == (urgent, 4, 17)


async def test_a_claim_does_not_take_a_shards_later_jobs_before_urgent_ones_of_another(
    queue: JobQueue, worker: Rounds
) -> None:
    later = 10 * rounds.SLACK
    urgent = await waiting(queue, (0, 1), (1, 2), (2, 3))
    await waiting(queue, (0, later), (1, later), (2, later))
    assert set(of((await worker.claim(3))[0])) == set(urgent)


async def test_a_claim_takes_hardly_less_urgent_jobs_of_one_shard_in_one_round_trip(
    queue: JobQueue, worker: Rounds
) -> None:
    made = await waiting(queue, (0, 1), (0, 3), (1, 2))
    assert set(of((await worker.claim(2))[0])) == set(made[:2])


async def test_a_claim_takes_what_is_more_urgent_in_any_shard(queue: JobQueue, worker: Rounds) -> None:
    made = await waiting(queue, (0, 5), (1, 1), (2, 9), (3, 2))
    claimed, left = await worker.claim(10, before={"": 4})
    assert (set(of(claimed)), left) == ({made[1], made[3]}, 2)
    assert (await worker.claim(10, before={"": 4}))[0] == []


async def test_a_claim_stops_at_its_byte_limit_over_all_shards(queue: JobQueue, worker: Rounds) -> None:
    await waiting(queue, *((number, 1) for number in range(NUMBER)))
    size = await queue.redis.strlen(await queue.key(keys.JOB, (await queue.recent(1))[0][0].id))
    assert len((await worker.claim(10, size=2 * size))[0]) == 2
    assert len((await worker.claim(10, size=0))[0]) == 1


async def test_a_worker_learns_that_no_shard_can_be_claimed_from(
    queue: JobQueue, redis: ArqRedis, worker: Rounds
) -> None:
    """But of a shard with another program's data only while no other answers: that is logged elsewhere."""
    [good] = await waiting(queue, (3, 1))
    names = queue.everywhere(keys.QUEUE)
    for name in names[:3]:
        await redis.set(name, "another program's data")
    claimed, _ = await worker.claim(10)
    assert of(claimed) == [good]
    forget(worker)
    assert (await worker.claim(10))[0] == []
    assert await Claims(queue.shards[3]).finish(MODEL, [ending(claimed[0])]) == set()
    await redis.delete(names[3])
    await redis.set(names[3], "another program's data")
    forget(worker)
    with pytest.raises(QueueDamaged):
        await worker.claim(10)
    await redis.delete(*names)


async def blocked(redis: ArqRedis, most: int) -> bool:
    return bool((await redis.info("clients"))["blocked_clients"] == most)


@pytest.mark.parametrize("number", range(NUMBER))
async def test_a_submit_to_any_shard_wakes_an_idle_worker(
    queue: JobQueue, redis: ArqRedis, worker: Rounds, number: int
) -> None:
    claim = asyncio.create_task(worker.claim(10, wait=30.0))
    await until(lambda: blocked(redis, NUMBER))
    job, _ = await queue.submit(new_job(), job_id=new_id(number))
    async with asyncio.timeout(25):
        assert of((await claim)[0]) == [job.id]


async def test_after_a_ring_only_its_shard_is_asked(
    queue: JobQueue, redis: ArqRedis, worker: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    claim = Claims.claim

    async def noting(self: Claims, *arguments: object, **options: object) -> object:
        asked.append(self.shard.number)
        return await claim(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Claims, "claim", noting)
    idle = asyncio.create_task(worker.claim(10, wait=30.0))
    await until(lambda: blocked(redis, NUMBER))
    asked.clear()
    monkeypatch.setattr(rounds, "LOOK_EVERY", -1.0)  # what was seen of the others is old by now
    await queue.submit(new_job(), job_id=new_id(2))
    assert len((await idle)[0]) == 1
    assert asked == [2]


async def test_a_busy_worker_gives_a_ring_to_another(
    queue: JobQueue, redis: ArqRedis, worker: Rounds, other: Rounds
) -> None:
    """It still listens at the other shards' doorbells, where the idle one is in line behind it."""
    first = asyncio.create_task(worker.claim(10, wait=30.0))
    await until(lambda: blocked(redis, NUMBER))
    idle = asyncio.create_task(other.claim(10, wait=30.0))
    await until(lambda: blocked(redis, 2 * NUMBER))
    await queue.submit(new_job(), job_id=new_id(0))
    assert len((await first)[0]) == 1
    job, _ = await queue.submit(new_job(), job_id=new_id(2))
    async with asyncio.timeout(25):
        assert of((await idle)[0]) == [job.id]


async def test_a_worker_that_stops_leaves_no_claim_blocked(
    queue: JobQueue, redis: ArqRedis, worker: Rounds
) -> None:
    claim = asyncio.create_task(worker.claim(10, wait=600.0))
    await until(lambda: blocked(redis, NUMBER))
    await queue.submit(new_job(), job_id=new_id(1))
    await claim
    pops = list(worker._bells._pops.values())
    assert pops
    await worker.close()
    assert all(pop.done() for pop in pops)
    await until(lambda: blocked(redis, 0))


async def test_a_shard_that_does_not_answer_delays_no_claim_of_another(
    redis: ArqRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by more than SLOW, once. The late answer is used: its job is leased to this worker."""
    monkeypatch.setattr(rounds, "SLOW", 3.0)
    monkeypatch.setattr(rounds, "LOOK_EVERY", 600.0)
    async with apart(redis, settings, 2) as (store, proxy):
        queue = JobQueue(store, settings, [MODEL])
        worker = Rounds(queue.shards, MODEL, "one")
        made = await waiting(queue, (0, 1), (2, 2), (1, 3), (3, 4))
        assert of((await worker.claim(1))[0]) == made[:1], "and it knows the next job of each shard"
        proxy.part()
        claimed, _ = await worker.claim(2)
        assert {shard_of(job.id) for job in claimed} == {1, 3}
        more, _ = await queue.submit(new_job(), job_id=new_id(3))
        monkeypatch.setattr(rounds, "LOOK_EVERY", -1.0)
        monkeypatch.setattr(rounds, "SLOW", math.inf)  # if it were asked again, this would not end
        async with asyncio.timeout(60):
            assert of((await worker.claim(10))[0]) == [more.id]
        proxy.heal()
        late: list[Claimed] = []

        async def answered() -> bool:
            late.extend((await worker.claim(10))[0])
            return bool(late)

        await until(answered)
        assert of(late) == [made[1]]
        assert await Claims(queue.shards[2]).finish(MODEL, [ending(late[0])]) == set()
        assert (await queue.read(made[1])).status == "succeeded"
        await worker.close()


async def test_the_limit_of_bytes_is_one_for_all_shards(queue: JobQueue, settings: Settings) -> None:
    await waiting(queue, *((number, number + 1) for number in range(NUMBER)))
    small = JobQueue(queue.redis, settings.model_copy(update={"window_bytes": 1}), [MODEL])
    claimed, left = await small.claim(MODEL, 10)
    assert (len(claimed), left) == (1, NUMBER - 1)
    await small.close()
