"""Faults of a queue and its shards: full memory, a lost shard, odd data. Other jobs continue."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
import structlog
from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.errors import WritesRefused
from jobs.ledger import keys
from jobs.ledger.admission import Admission, Used
from jobs.ledger.ids import new_id
from jobs.ledger.leasing import Claimed
from jobs.ledger.rounds import Rounds
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.ledger.wire import decode_events
from jobs.monitoring.upkeep import Upkeep
from jobs.settings import Settings
from jobs.store.connection import cancel
from jobs.store.store import Server, open_store
from tests import valkey
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import MODEL, SHARDS, WATCHER, JobQueue, ending
from tests.ports import free_port
from tests.waiting import until


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[JobQueue]:
    """A queue with a job on a server whose memory is full."""
    with valkey.running(tmp_path) as server:
        settings = Settings(redis_url=server.url())
        store = open_store(settings)
        queue = JobQueue(store, settings, [MODEL])
        await queue.submit(new_job(), job_id="first")
        await queue.redis.config_set("maxmemory", 1)
        yield queue
        await store.aclose()


@pytest.fixture
async def four(redis: ArqRedis, settings: Settings) -> AsyncIterator[JobQueue]:
    """A queue with four shards on one server."""
    yield JobQueue(redis, settings.model_copy(update={"shards": 4}), [MODEL])
    await redis.flushdb()


def _digest(key: str) -> int:
    """What chooses the shard of an idempotency key."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:15], 16)


async def kept_up(shards: Shards, redis: ArqRedis, model: str = MODEL) -> None:
    """Returns once the upkeep has swept the model in the first shard."""
    upkeep = asyncio.create_task(Upkeep(shards, structlog.get_logger()).run())
    try:

        async def swept() -> bool:
            return bool(await redis.exists(keys.SWEPT.of(model)))

        await until(swept)
    finally:
        await cancel(upkeep)


async def test_a_new_process_reads_and_sweeps_while_memory_is_full(full: JobQueue) -> None:
    new = JobQueue(full.shards.store, full.settings, [MODEL])
    assert (await new.read("first")).id == "first"
    await kept_up(new.shards, new.redis)


async def test_another_programs_data_about_the_shards_does_not_stop_sweeps(
    queue: JobQueue, redis: ArqRedis
) -> None:
    await redis.set(keys.SHARDS.of(), "another program's data")
    await kept_up(queue.shards, redis)
    await redis.delete(keys.SHARDS.of())


async def test_a_sweep_that_fails_for_one_model_goes_on_with_the_others(
    redis: ArqRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Shard.sweep

    async def failing(shard: Shard, model: str) -> tuple[int, int, int]:
        if model == "broken":
            raise ResponseError("a job on which the script fails")
        return await sweep(shard, model)

    monkeypatch.setattr(Shard, "sweep", failing)
    await kept_up(Shards(Server(redis), settings, ["broken", MODEL]), redis)


async def test_numbers_of_shards_that_cannot_be_are_ignored(queue: JobQueue, redis: ArqRedis) -> None:
    odd: dict[str, object] = {"x": "y", "257": 0, "-1": 0, "nan": 0, "2": 0, "3": "never"}
    await redis.hset(keys.SHARDS.of(), mapping=odd)  # type: ignore[misc]
    await queue.shards.grow()
    assert len(queue.shards) == max(2, SHARDS)


async def test_a_key_is_found_after_a_second_growth_of_a_queue_whose_first_shard_is_empty(
    four: JobQueue,
) -> None:
    key = next(key for key in map(str, range(100)) if _digest(key) % 8 > 4)
    accepted, _ = await four.submit(new_job(), idempotency_key=key)
    new = JobQueue(four.redis, four.settings.model_copy(update={"shards": 8}), [MODEL])
    again, replayed = await new.submit(new_job(), idempotency_key=key)
    assert (again.id, replayed) == (accepted.id, True)


async def test_no_shard_waits_for_the_backlog_of_another(four: JobQueue) -> None:
    """Also if nothing is known of the shards any more when the next claim is made."""
    for _ in range(4):
        for shard in range(4):
            await four.submit(new_job(), job_id=new_id(shard))
    claimed = [job for _ in range(16) for job in (await four.claim(MODEL, 1))[0]]
    assert [job.score for job in claimed] == sorted(job.score for job in claimed)
    assert len(claimed) == 16


async def test_a_high_priority_in_any_shard_is_claimed_first(four: JobQueue) -> None:
    for shard in range(4):
        await four.submit(new_job(), job_id=new_id(shard))
    urgent, _ = await four.submit(new_job(priority="high"), job_id=new_id(2))
    [claimed], _ = await four.claim(MODEL, 1)
    assert claimed.id == urgent.id


async def test_jobs_of_a_lost_shard_are_not_reported_as_waiting(four: JobQueue) -> None:
    """Otherwise the worker would claim again and again without a pause, and its other loops would stop."""
    for _ in range(2):
        await four.submit(new_job(), job_id=new_id(1))
    rounds = Rounds(four.shards, MODEL)
    assert (await rounds.claim(1))[1] == 1
    four.shards[1].available = False
    assert await rounds.claim(1) == ([], 0)
    four.shards[1].available = True
    claimed, left = await rounds.claim(1, wait=0.1)
    assert (len(claimed), left) == (1, 0)


async def test_a_connection_that_is_lost_before_a_doorbell_does_not_end_the_worker(
    four: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")  # from uvloop

    monkeypatch.setattr(four.redis, "blpop", lost)
    assert await Rounds(four.shards, MODEL).claim(1, wait=0.01) == ([], 0)


async def test_a_job_that_expires_and_is_aborted_is_counted_off_once(
    queue: JobQueue, redis: ArqRedis
) -> None:
    job, _ = await queue.submit(new_job(expires_in=0.001))
    await redis.zadd((await queue.shard(job.id)).key(keys.ABORT), {job.id: 2**50})

    async def ended() -> bool:
        await queue.sweep(MODEL)
        return (await queue.read(job.id)).status.terminal

    await until(ended)
    assert int(await redis.get(await queue.beside(keys.BYTES, job.id))) == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"webhook": {None: "https://example.org"}},
        {"webhook": msgspec.msgpack.Ext(5, b"x")},
        {"group": "taken"},
        {"result_ttl": "soon", "keep_inputs": {}},
    ],
    ids=["a webhook without a name", "a webhook of an extension", "another group", "another lifetime"],
)
async def test_jobs_end_whatever_a_stock_client_asks_for_at_the_end(
    queue: JobQueue, redis: ArqRedis, asked: dict[str, Any]
) -> None:
    """Otherwise it would run again and again, and jobs of the same write-back would be ended twice."""
    await redis.set(keys.GROUP.of("taken"), "another program's data", ex=60)
    await queue.submit(new_job(), job_id="ours")
    await redis.enqueue_job("infer", ["a"], _queue_name=keys.queue_name(MODEL), _job_id="stock", **asked)
    claimed: list[Claimed] = []

    async def both() -> bool:
        claimed.extend((await queue.claim(MODEL, 2))[0])
        return len(claimed) == 2

    await until(both)
    assert await queue.finish(MODEL, [ending(job) for job in claimed]) == set()
    assert (await queue.depth())[MODEL].unfinished == 0
    assert (await queue.read("ours")).status == (await queue.read("stock")).status == "succeeded"


async def test_a_shard_whose_memory_is_full_is_still_available(full: JobQueue) -> None:
    """Its jobs are listed, claimed and ended; only submits are refused."""
    with pytest.raises(WritesRefused):
        await full.submit(new_job())
    assert full.shards.unavailable() == []


async def test_a_standstill_delays_submits_to_many_shards_no_longer_than_to_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other shards are counted once, for a short time, and not once more for each submit."""
    counts = 0

    async def standing_still(shard: Shard, *_: str) -> NoReturn:
        nonlocal counts
        counts += 1
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(Shard, "depth", standing_still)
    monkeypatch.setattr("jobs.ledger.admission.PATIENCE", 0.01)
    settings = Settings(shards=4)
    shards = Shards(open_store(settings), settings, [MODEL])
    admission = Admission(shards)

    async def limits(shard: Shard) -> None:
        async with admission.limits(MODEL, shard, Used(1, 1, 1)):
            pass

    async with asyncio.timeout(60):
        await asyncio.gather(*(limits(shard) for shard in shards))
    assert counts == len(shards)


async def test_a_process_that_waits_and_follows_is_told_once_of_the_end(
    queue: JobQueue, redis: ArqRedis
) -> None:
    async with redis.pubsub() as subscriber:
        await subscriber.subscribe(f"{keys.EVENTS}:{WATCHER}")
        job, _ = await queue.submit(new_job(), watcher=WATCHER)
        await queue.read(job.id, watcher=WATCHER)
        await queue.cancel(job.id)
        message = None
        while message is None:
            message = await subscriber.get_message(ignore_subscribe_messages=True, timeout=5)
    assert [event.state for event in decode_events(message["data"])] == ["cancelled"]


async def test_a_lost_first_shard_hides_no_job_of_another(
    four: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = await four.submit(new_job(), job_id=new_id(1))
    await four.cancel(job.id)
    assert [each.id for each in (await four.recent(1))[0]] == [job.id]
    lost = Redis(port=free_port())  # nobody listens there
    monkeypatch.setattr(four.shards.first, "redis", lost)
    monkeypatch.setattr(four.shards.first, "available", False)
    assert [each.id for each in (await four.recent(1))[0]] == [job.id]
    assert set(await four.find(job.id[-6:], 1)) == {job.id}
    assert (await four.inputs(job)).inputs == ()


async def test_a_new_process_reads_from_a_server_that_accepts_no_writes(tmp_path: Path) -> None:
    """Such as a replica, or one whose disk is full."""
    with valkey.running(tmp_path) as server:
        settings = Settings(redis_url=server.url())
        store = open_store(settings)
        await JobQueue(store, settings, [MODEL]).submit(new_job(), job_id="first")
        await store.client("").replicaof("127.0.0.1", free_port())
        assert (await JobQueue(store, settings, [MODEL]).read("first")).id == "first"
        await store.aclose()
