"""The one ending of a job, by each way of ending: lifetimes, outbox, group counters and registrations.

The tests write payloads that ask for all of it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.errors import JobNotFound, QueueDamaged
from jobs.ledger import keys
from jobs.ledger.envelope import Envelope
from jobs.ledger.ids import new_id
from jobs.ledger.leasing import Claimed
from jobs.ledger.records import STATES, decode_record
from jobs.ledger.wire import encode_payload
from jobs.settings import Settings
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import WATCHER, JobQueue, ending

NUMBER = 4
HOUR = 3_600_000
DAYS = 30 * 24 * HOUR
HOOK = {"url": "https://example.org/hook", "secret": 7}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": NUMBER, "result_ttl": 3600.0})


async def put(queue: JobQueue, shard: int, **envelope: Any) -> str:
    """The id of a waiting job with this envelope, as if it had been submitted."""
    seconds, _ = await queue.redis.time()
    payload = encode_payload(["x"], Envelope(n=1, **envelope)) + b"\xcf" + (seconds * 1000).to_bytes(8)
    return await put_raw(queue, shard, payload)


async def put_raw(queue: JobQueue, shard: int, payload: bytes) -> str:
    job_id = new_id(shard)
    await queue.redis.set(await queue.key(keys.JOB, job_id), payload)
    await queue.redis.zadd(await queue.beside(keys.QUEUE, job_id), {job_id: 1})
    await queue.redis.incrby(await queue.beside(keys.BYTES, job_id), len(payload))
    return job_id


async def finished(queue: JobQueue, job_id: str) -> str:
    claimed = await claim(queue, job_id)
    await queue.start([claimed])
    assert await queue.finish(MODEL, [ending(claimed)]) == set()
    assert await queue.finish(MODEL, [ending(claimed)]) == set(), "sent again, it ends nothing again"
    return "succeeded"


async def cancelled(queue: JobQueue, job_id: str) -> str:
    await queue.cancel(job_id)
    await queue.cancel(job_id)
    return "cancelled"


async def cancelled_while_it_ran(queue: JobQueue, job_id: str) -> str:
    claimed = await claim(queue, job_id)
    await queue.cancel(job_id)
    assert await queue.finish(MODEL, [ending(claimed)]) == {job_id}
    return "cancelled"


async def expired(queue: JobQueue, job_id: str) -> str:
    await queue.redis.zadd(await queue.beside(keys.DEADLINES, job_id), {job_id: 1})
    assert await queue.sweep(MODEL) == (0, 1, 0)
    assert await queue.sweep(MODEL) == (0, 0, 0)
    return "expired"


async def aborted(queue: JobQueue, job_id: str) -> str:
    await queue.redis.zadd(await queue.beside(keys.ABORT, job_id), {job_id: 2**45})
    assert await queue.sweep(MODEL) == (0, 0, 1)
    assert await queue.sweep(MODEL) == (0, 0, 0)
    return "cancelled"


async def claim(queue: JobQueue, job_id: str) -> Claimed:
    [claimed], _ = await queue.claim(MODEL, 1)
    assert claimed.id == job_id
    return claimed


End = Callable[[JobQueue, str], Awaitable[str]]
every_way = pytest.mark.parametrize("end", [finished, cancelled, cancelled_while_it_ran, expired, aborted])
in_two_shards = pytest.mark.parametrize("shard", [0, 3])


@every_way
@in_two_shards
async def test_a_webhook_gets_one_entry_in_the_outbox_of_the_shard(
    queue: JobQueue, end: End, shard: int
) -> None:
    asked = await put(queue, shard, webhook=HOOK)
    state = await end(queue, asked)
    await end(queue, await put(queue, shard))
    outbox = await queue.beside(keys.OUTBOX, asked)
    [(_, entry)] = await queue.redis.xrange(outbox)
    assert (entry[b"id"].decode(), entry[b"state"].decode()) == (asked, state)
    assert msgspec.msgpack.decode(entry[b"webhook"]) == HOOK
    header, finished, results = decode_record(entry[b"record"])
    assert (header.model, STATES[header.state], results) == (MODEL, state, None)
    assert finished > 1_700_000_000_000
    assert [name for name in queue.everywhere(keys.OUTBOX) if await queue.redis.exists(name)] == [outbox]
    assert (await queue.read(asked)).status == state


async def not_ended(queue: JobQueue, job_ids: list[str]) -> None:
    """Nothing was written for their ends."""
    for job_id in job_ids:
        assert not await queue.redis.exists(await queue.key(keys.RESULT, job_id))
        assert await queue.redis.exists(await queue.key(keys.JOB, job_id))
    assert await queue.redis.keys(keys.GROUP.of("*")) == []


@in_two_shards
async def test_foreign_data_under_the_outbox_delays_the_end_of_a_batch(
    queue: JobQueue, redis: ArqRedis, shard: int
) -> None:
    job_ids = [await put(queue, shard, group="nightly"), await put(queue, shard, webhook=HOOK)]
    claimed, _ = await queue.claim(MODEL, 2)
    outbox = await queue.beside(keys.OUTBOX, job_ids[0])
    await redis.set(outbox, "another program's data")
    with pytest.raises(QueueDamaged):
        await queue.finish(MODEL, [ending(each) for each in claimed])
    await not_ended(queue, job_ids)
    await redis.delete(outbox)
    assert await queue.finish(MODEL, [ending(each) for each in claimed]) == set()
    assert await redis.xlen(outbox) == 1


@pytest.mark.parametrize("end", [cancelled, expired, aborted])
@in_two_shards
async def test_foreign_data_under_the_outbox_leaves_no_end_half_done(
    queue: JobQueue, redis: ArqRedis, end: End, shard: int
) -> None:
    job_id = await put(queue, shard, webhook=HOOK, group="nightly")
    outbox = await queue.beside(keys.OUTBOX, job_id)
    await redis.set(outbox, "another program's data")
    with pytest.raises(QueueDamaged) as damaged:
        await end(queue, job_id)
    assert damaged.value.key == outbox
    assert (await queue.claim(MODEL, 1))[0] == []
    await not_ended(queue, [job_id])
    await redis.delete(outbox)
    await end(queue, job_id)
    assert await redis.xlen(outbox) == 1
    counted = await redis.hvals(queue.shards[shard].key(keys.GROUP, "nightly"))  # type: ignore[misc]
    assert counted == [b"1"], "once"


@every_way
@in_two_shards
async def test_a_group_counts_its_ended_jobs_by_state(queue: JobQueue, end: End, shard: int) -> None:
    for _ in range(2):
        state = await end(queue, await put(queue, shard, group="nightly"))
    await end(queue, await put(queue, shard, group={"not": "a name"}))
    other = await put(queue, shard, group="nightly")
    name = queue.shards[shard].key(keys.GROUP, "nightly")
    assert await queue.redis.hgetall(name) == {state.encode(): b"2"}  # type: ignore[misc]
    assert DAYS - HOUR < await queue.redis.pttl(name) <= DAYS
    assert await queue.redis.keys(keys.GROUP.of("*")) == [name.encode()]
    assert (await queue.read(other)).status == "queued"


@in_two_shards
async def test_a_large_envelope_is_read_completely_at_the_end(queue: JobQueue, shard: int) -> None:
    job_id = await put(
        queue, shard, parameters={"x": "x" * 100_000}, webhook=HOOK, group="g", result_ttl=60.0
    )
    await queue.cancel(job_id)
    assert await queue.redis.xlen(await queue.beside(keys.OUTBOX, job_id)) == 1
    assert await queue.redis.pttl(await queue.key(keys.RESULT, job_id)) <= 60_000


@every_way
@pytest.mark.parametrize("kept", [True, False])
@in_two_shards
async def test_a_job_has_its_own_lifetime_and_its_inputs_only_if_asked(
    queue: JobQueue, end: End, kept: bool, shard: int
) -> None:
    own = await put(queue, shard, result_ttl=60.0, keep_inputs=kept)
    await end(queue, own)
    usual = await put(queue, shard, keep_inputs=kept)
    await end(queue, usual)
    for job_id, lifetime in ((own, 60_000), (usual, HOUR)):
        payload, record = await queue.key(keys.JOB, job_id), await queue.key(keys.RESULT, job_id)
        assert lifetime - 30_000 < await queue.redis.pttl(record) <= lifetime
        left = await queue.redis.pttl(payload)
        assert lifetime - 30_000 < left <= lifetime if kept else left == -2
        for kind in (keys.LEASE, keys.ATTEMPTS, keys.PROGRESS):
            assert not await queue.redis.exists(await queue.key(kind, job_id))
    assert (await queue.depth())[MODEL].bytes == 0


@pytest.mark.parametrize(
    ("asked", "lifetime"), [(-5, HOUR), (0, HOUR), ("soon", HOUR), ([9], HOUR), (1e12, DAYS), (0.5, 500)]
)
async def test_a_lifetime_that_a_stock_client_made_up_is_bounded(
    queue: JobQueue, asked: object, lifetime: int
) -> None:
    fields = {"t": None, "f": "infer", "k": {"result_ttl": asked}, "a": ["x"], "et": 1_700_000_000_000}
    job_id = await put_raw(queue, 0, msgspec.msgpack.encode(fields))
    await queue.cancel(job_id)
    left = await queue.redis.pttl(await queue.key(keys.RESULT, job_id))
    assert left in (-2, *range(1, 501)) if lifetime == 500 else lifetime - 30_000 < left <= lifetime


@in_two_shards
async def test_a_claim_ends_a_job_without_a_payload_as_all_others_do(queue: JobQueue, shard: int) -> None:
    """Its envelope cannot be read, so it asks for nothing; the rest is the same."""
    unreadable, gone = [await put(queue, shard, webhook=HOOK) for _ in range(2)]
    for job_id in (unreadable, gone):
        await queue.read(job_id, watcher=WATCHER)
        await queue.redis.delete(await queue.key(keys.JOB, job_id))
    await queue.redis.rpush(await queue.key(keys.JOB, unreadable), "another program's")  # type: ignore[misc]
    await queue.redis.expire(await queue.key(keys.JOB, unreadable), 60)
    assert await queue.claim(MODEL, 10) == ([], 0)
    assert [(await queue.read(job_id)).status for job_id in (unreadable, gone)] == ["failed", "expired"]
    for job_id in (unreadable, gone):
        assert HOUR - 30_000 < await queue.redis.pttl(await queue.key(keys.RESULT, job_id)) <= HOUR
    assert not await queue.redis.exists(await queue.beside(keys.OUTBOX, gone))
    assert not await queue.redis.exists(await queue.beside(keys.WATCHED, gone))


@every_way
@pytest.mark.parametrize("how", ["submit", "read"])
@in_two_shards
async def test_the_end_removes_the_registrations_of_a_job(
    queue: JobQueue, end: End, how: str, shard: int
) -> None:
    other, _ = await queue.submit(new_job(), job_id=new_id(shard), watcher="another-process.")
    await queue.redis.zadd(await queue.beside(keys.QUEUE, other.id), {other.id: 2**52})  # due in ages
    if how == "submit":
        job, _ = await queue.submit(new_job(), job_id=new_id(shard), watcher=WATCHER)
        job_id, expected = job.id, f"e{WATCHER}"
    else:
        job_id, expected = await put(queue, shard), f"a{WATCHER}"
        for _ in range(2):
            await queue.read(job_id, watcher=WATCHER)
    watched = await queue.beside(keys.WATCHED, job_id)
    assert await queue.redis.hget(watched, job_id) == expected.encode(), "once"  # type: ignore[misc]
    await end(queue, job_id)
    assert await queue.redis.hkeys(watched) == [other.id.encode()]  # type: ignore[misc]


@pytest.mark.parametrize("how", ["submit", "read"])
async def test_registrations_live_for_an_hour_after_the_newest(
    queue: JobQueue, redis: ArqRedis, how: str
) -> None:
    job, _ = await queue.submit(new_job(), watcher=WATCHER)
    shard = (await queue.shard(job.id)).number
    watched = await queue.beside(keys.WATCHED, job.id)
    assert HOUR - 30_000 < await redis.pttl(watched) <= HOUR
    await redis.pexpire(watched, 10_000)
    if how == "submit":
        await queue.submit(new_job(), job_id=new_id(shard), watcher=WATCHER)
    else:
        await queue.read(job.id, watcher=WATCHER)
    assert HOUR - 30_000 < await redis.pttl(watched) <= HOUR
    await redis.pexpire(watched, 10_000)
    await queue.submit(new_job(), job_id=new_id(shard))
    assert await redis.pttl(watched) <= 10_000, "nobody waits for that one"


async def test_a_job_that_ended_or_never_was_is_not_watched(queue: JobQueue, redis: ArqRedis) -> None:
    job, _ = await queue.submit(new_job())
    await queue.cancel(job.id)
    await queue.read(job.id, watcher=WATCHER)
    with pytest.raises(JobNotFound):
        await queue.read(new_id(), watcher=WATCHER)
    assert not await redis.exists(*queue.everywhere(keys.WATCHED))
