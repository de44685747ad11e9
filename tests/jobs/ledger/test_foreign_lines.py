"""Foreign data under the keys of owners' lines and turns: jobs of others are run, and none is lost."""

import asyncio
from collections import Counter

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import QueueDamaged
from jobs.ledger import keys, shard
from jobs.ledger.keys import Key
from jobs.owners import Sender
from jobs.settings import Settings
from tests.jobs.ledger.test_foreign_keys import spoil
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.jobs.ledger.test_shares import claimed_owners, sent
from tests.jobs.monitored import monitored
from tests.ledger import JobQueue
from tests.waiting import until

LINE = f"ann:{MODEL}"
ALL = {keys.WAITING: LINE, keys.TURNS: MODEL, keys.SHARES: MODEL}
every_key = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.pattern)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": 1})


@every_key
async def test_submits_of_others_are_accepted(queue: JobQueue, redis: ArqRedis, kind: Key) -> None:
    name = kind.of(ALL[kind])
    await spoil(redis, name, "list")
    await redis.pexpire(name, 60_000)
    found = await asyncio.gather(
        queue.submit(replace(new_job(), sender=Sender("ann"))),
        queue.submit(replace(new_job(), sender=Sender("bob"))),
        queue.submit(new_job()),
        return_exceptions=True,
    )
    refused = {keys.WAITING: 1, keys.TURNS: 2, keys.SHARES: 0}[kind]
    assert [isinstance(each, tuple) for each in found] == [each >= refused for each in range(3)]
    assert all(isinstance(each, QueueDamaged) and each.key == name for each in found[:refused])
    claimed, left = await queue.claim(MODEL, 9)
    assert (len(claimed), left) == (3 - refused, 0)


@every_key
async def test_jobs_are_claimed_and_returned(queue: JobQueue, redis: ArqRedis, kind: Key) -> None:
    """Jobs that had a place there wait with those of the anonymous owner, once a sweep has found them."""
    jobs = {await sent(queue, owner) for owner in ("ann", "ann", "bob", "", "ann")}
    held, _ = await queue.claim(MODEL, 1)
    name = kind.of(ALL[kind])
    await spoil(redis, name, "list")
    await redis.pexpire(name, 60_000)
    assert await queue.release(MODEL, [(held[0], 0)]) == 1
    await queue.sweep(MODEL)
    claimed, left = await queue.claim(MODEL, 9)
    assert ({job.id for job in claimed}, left) == (jobs, 0)
    await queue.lapse(claimed[0].id)
    assert await queue.sweep(MODEL) == (1, 0, 0)
    again, _ = await queue.claim(MODEL, 9)
    assert [job.id for job in again] == [claimed[0].id]
    assert await redis.type(name) == b"list", "what lies there is not ours to change"


@pytest.mark.parametrize("number", ["inf", "nan", "-inf", "1e300", "a text"])
async def test_a_virtual_time_that_is_none(queue: JobQueue, redis: ArqRedis, number: str) -> None:
    for _ in range(10):
        await sent(queue, "ann")
    for field in (":now", "ann", "bob", ""):
        await redis.hset(keys.SHARES.of(MODEL), field, number)  # type: ignore[misc]
    if number != "nan" and number != "a text":
        await redis.zadd(keys.TURNS.of(MODEL), {"ann": float(number)})
    for _ in range(10):
        await sent(queue, "bob")
        await sent(queue, "")
    await queue.sweep(MODEL)
    found = Counter(await claimed_owners(queue, 18))
    assert all(5 <= found[owner] <= 7 for owner in ("ann", "bob", "")), found


@pytest.mark.parametrize("weight", [1e-308, float("inf"), float("nan"), -1, "x", [1]])
async def test_a_stock_client_does_not_choose_its_share(
    queue: JobQueue, redis: ArqRedis, weight: object
) -> None:
    for _ in range(10):
        await sent(queue, "ann")
        await redis.enqueue_job("infer", ["x"], _queue_name=keys.queue_name(MODEL), weight=weight, work=2**52)
    found = Counter(await claimed_owners(queue, 10))
    assert found == {"ann": 5, "": 5}


@pytest.mark.parametrize("weight", [1e-308, 1e308, float("inf")])
async def test_a_weight_beyond_all_bounds_stops_no_other_owner(queue: JobQueue, weight: float) -> None:
    for _ in range(5):
        await sent(queue, "odd", weight=weight)
    assert await claimed_owners(queue, 5) == ["odd"] * 5
    for _ in range(10):
        await sent(queue, "ann")
        await sent(queue, "bob")
    assert Counter(await claimed_owners(queue, 10)) == {"ann": 5, "bob": 5}


async def test_a_job_in_two_lines_is_claimed_once(queue: JobQueue, redis: ArqRedis) -> None:
    job_id = await sent(queue, "ann")
    await sent(queue, "bob")
    await redis.zadd(keys.WAITING.of(f"bob:{MODEL}"), {job_id: 1})
    claimed, left = await queue.claim(MODEL, 9)
    assert (sorted(job.id for job in claimed).count(job_id), len(claimed), left) == (1, 2, 0)
    assert await redis.keys(keys.WAITING.of("*")) == []


@pytest.mark.parametrize("lost", [keys.WAITING, keys.TURNS])
async def test_a_place_lost_behind_many_jobs_is_found(
    queue: JobQueue, redis: ArqRedis, lost: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep looks at a limited number of jobs, so the next one must look at others."""
    monkeypatch.setattr(shard, "SWEEP_LIMIT", 2)
    for _ in range(6):
        await sent(queue, "flood")
    last = await sent(queue, "ann")
    await redis.delete(keys.WAITING.of(LINE))
    if lost is keys.TURNS:
        await redis.zrem(keys.TURNS.of(MODEL), "ann")

    async def found() -> bool:
        await queue.sweep(MODEL)
        return last in [member.decode() for member in await redis.zrange(keys.WAITING.of(LINE), 0, -1)]

    await until(found)
    assert await redis.zscore(keys.TURNS.of(MODEL), "ann") is not None


async def test_a_sweep_does_not_ask_for_every_owner(queue: JobQueue) -> None:
    """Every process sweeps each second, and there may be thousands of owners."""
    await asyncio.gather(*[sent(queue, f"owner-{number}") for number in range(1000)])
    async with monitored(queue.redis) as commands:
        await queue.sweep(MODEL)
    assert len(commands[0].within) < 500
