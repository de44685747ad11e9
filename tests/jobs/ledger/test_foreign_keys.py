"""Another program's data under one job's keys: its transitions go on, and those of all other jobs.

Foreign data under the keys of a whole queue is in tests/faults/test_foreign_data.py.
"""

import contextlib

import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.errors import IdempotencyMismatch, JobGone, JobNotFound, QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.ledger.keys import Key
from jobs.ledger.leasing import Claimed, Ending
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue

OURS = b"\x85\xa1t\xc0\xa1f\xa5infer\xa1k"
"""How the payloads that we write begin; `payload.lua` reads what follows without a full decode."""

LIST, HASH = "list", "hash"
GARBAGE = {
    "a list": LIST,
    "a hash": HASH,
    "an empty text": b"",
    "a text": b"another program's data",
    "bad msgpack": b"\xc1" * 5_000,
    "our mark alone": OURS,
    "our mark and bad msgpack": OURS + b"\xc1" * 20,
    "our mark and much bad msgpack": OURS + b"\xc1" * 5_000,
    "our mark and a text": OURS + b"\xa3abc\xa1a\x91\xa1x\xa2et" + b"\xcf" + bytes(8),
    "our mark and a list": OURS + b"\x91\xa1n\xa1a\x91\xa1x\xa2et" + b"\xcf" + bytes(8),
    "our mark and odd values": OURS
    + msgspec.msgpack.encode({"n": {}, "expires_in": [1]})
    + b"\xa1a\x91\xa1x\xa2et\xcf"
    + b"\xff" * 8,
    "our mark and endless numbers": OURS
    + msgspec.msgpack.encode({"n": float("inf"), "expires_in": float("nan")})
    + b"\xa1a\x91\xa1x\xa2et\xcf"
    + bytes(8),
    "a stock payload of odd parts": msgspec.msgpack.encode({"t": 1, "f": [], "k": [1], "a": {}, "et": "x"}),
}
OF_A_JOB = (keys.JOB, keys.RESULT, keys.LEASE, keys.ATTEMPTS, keys.PROGRESS, keys.MEDIA, keys.FILES)


async def spoil(redis: ArqRedis, name: str, data: str | bytes) -> None:
    await redis.delete(name)
    if data == LIST:
        await redis.rpush(name, "another program's data")  # type: ignore[misc]
    elif data == HASH:
        await redis.hset(name, "a", "b")  # type: ignore[misc]
    else:
        await redis.set(name, data, keepttl=True)


@pytest.fixture
async def spoilt(redis: ArqRedis, key: Key, data: str | bytes) -> str:
    """The id of a waiting job, first in its queue, one of whose keys was written by another program.

    Ids from `new_id` without a number, and those of stock clients, are in the first shard.
    """
    job_id = new_id()
    await redis.zadd(keys.queue_name(MODEL), {job_id: 1})
    if key is not keys.JOB:
        await redis.set(keys.JOB.of(job_id), msgspec.msgpack.encode(STOCK), px=86_400_000)
    await spoil(redis, key.of(job_id), data)
    await redis.pexpire(key.of(job_id), 86_400_000)
    return job_id


STOCK: dict[str, object] = {"t": None, "f": "infer", "k": {}, "a": ["x"], "et": 1_700_000_000_123}
every_key = pytest.mark.parametrize("key", OF_A_JOB, ids=lambda key: key.pattern)
all_garbage = pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())


async def run(queue: JobQueue) -> list[str]:
    """As a worker does: claims all, starts them, renews, finishes; the ids of those that it ended."""
    claimed, left = await queue.claim(MODEL, 100)
    assert left == 0
    await queue.start(claimed)
    await queue.renew(MODEL, claimed)
    refused = await queue.finish(MODEL, [ending_of(job) for job in claimed])
    return [job.id for job in claimed if job.id not in refused]


def ending_of(claimed: Claimed) -> Ending:
    """As of a job of one input, where its payload is none."""
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        return ending(claimed)
    return ending(msgspec.structs.replace(claimed, payload=msgspec.msgpack.encode(STOCK)))


@every_key
@all_garbage
async def test_other_jobs_are_run(queue: JobQueue, redis: ArqRedis, spoilt: str) -> None:
    job, _ = await queue.submit(new_job())
    assert job.id in await run(queue)
    assert (await queue.read(job.id)).status == "succeeded"
    assert await redis.zcard(keys.queue_name(MODEL)) == 0, "it does not come back for ever"
    assert (await queue.depth())[MODEL].damage == ""


@pytest.mark.parametrize("key", [keys.JOB])
@pytest.mark.parametrize("data", [LIST, HASH])
async def test_a_job_without_a_payload_fails(queue: JobQueue, redis: ArqRedis, key: Key, spoilt: str) -> None:
    assert await queue.claim(MODEL, 100) == ([], 0)
    job = await queue.read(spoilt)
    assert (job.status, job.counts.failed, job.counts.total) == ("failed", 1, 1)
    [result] = msgspec.json.decode(job.results)  # type: ignore[arg-type]
    assert result["error"]["type"] == "urn:batchline:problem:invalid-request"
    assert "the payload cannot be read" in result["error"]["detail"]
    assert await redis.exists(key.of(spoilt)), "what lies there is not ours to delete"


@every_key
@all_garbage
async def test_leases_of_others_are_renewed_and_jobs_given_back(
    queue: JobQueue, redis: ArqRedis, key: Key, data: str | bytes
) -> None:
    """One of three running jobs has another program's data under a key; each of them is released or ended."""
    jobs = [(await queue.submit(new_job()))[0] for _ in range(3)]
    claimed, _ = await queue.claim(MODEL, 100)
    claimed.sort(key=lambda each: [job.id for job in jobs].index(each.id))  # jobs of one ms may be mixed
    await spoil(redis, await queue.key(key, jobs[0].id), data)
    await queue.start(claimed)
    lost, over = await queue.renew(MODEL, claimed)
    assert (lost | over) <= {jobs[0].id}
    refused = await queue.finish(MODEL, [ending(claimed[0]), ending(claimed[1])])
    assert refused <= {jobs[0].id}
    assert await queue.release(MODEL, [(claimed[0], 0), (claimed[2], 0)]) in (1, 2)
    assert (await queue.read(jobs[1].id)).status == "succeeded"
    assert (await queue.read(jobs[2].id)).status == "queued"
    await clear(queue, jobs[0].id)


@every_key
@all_garbage
@pytest.mark.parametrize("why", ["lapsed", "overdue", "aborted"])
async def test_sweeps_go_on(queue: JobQueue, redis: ArqRedis, key: Key, data: str | bytes, why: str) -> None:
    jobs = [(await queue.submit(new_job(expires_in=60)))[0] for _ in range(2)]
    ids = [job.id for job in jobs]
    if why == "lapsed":
        await queue.claim(MODEL, 100)
        for job_id in ids:
            await queue.lapse(job_id)
    for job_id in ids:
        if why == "overdue":
            await redis.zadd(await queue.beside(keys.DEADLINES, job_id), {job_id: 1})
        elif why == "aborted":
            seconds, _ = await redis.time()
            await redis.zadd(await queue.beside(keys.ABORT, job_id), {job_id: seconds * 1000})
    await spoil(redis, await queue.key(key, ids[0]), data)
    await queue.sweep(MODEL)
    states = {"lapsed": "queued", "overdue": "expired", "aborted": "cancelled"}
    assert (await queue.read(ids[1])).status == states[why]
    await clear(queue, ids[0])


@every_key
@all_garbage
@pytest.mark.parametrize("state", ["waiting", "running"])
async def test_it_is_read_and_cancelled(
    queue: JobQueue, redis: ArqRedis, key: Key, data: str | bytes, state: str
) -> None:
    """As a job, or as one that is not there, or with a reason; others are listed all the same."""
    job, other = (await queue.submit(new_job()))[0], (await queue.submit(new_job()))[0]
    if state == "running":
        await queue.claim(MODEL, 100)
    await spoil(redis, await queue.key(key, job.id), data)
    with contextlib.suppress(JobNotFound, JobGone, QueueUnavailable):
        await queue.read(job.id)
    await queue.inputs(job)
    assert other.id in [listed.id for listed in (await queue.recent(10))[0]]
    with contextlib.suppress(JobNotFound, JobGone, QueueUnavailable):
        await queue.cancel(job.id)
    assert (await queue.cancel(other.id)).status == "cancelled"
    await clear(queue, job.id)


@all_garbage
async def test_an_idempotency_key_is_usable_or_refused(
    queue: JobQueue, redis: ArqRedis, data: str | bytes
) -> None:
    await queue.submit(new_job(), idempotency_key="k")
    [name] = await redis.keys(keys.IDEMPOTENCY.of("*"))
    await spoil(redis, name.decode(), data)
    await redis.pexpire(name, 86_400_000)
    with contextlib.suppress(IdempotencyMismatch):
        await queue.submit(new_job(), idempotency_key="k")


async def clear(queue: JobQueue, job_id: str) -> None:
    await queue.redis.zrem(await queue.beside(keys.QUEUE, job_id), job_id)
    await queue.redis.delete(*[await queue.key(key, job_id) for key in OF_A_JOB])
