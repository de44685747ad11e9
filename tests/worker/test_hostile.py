"""A BatchWorker survives stock clients, large results and failures; each job has one ending."""

import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from arq.connections import ArqRedis
from arq.jobs import Job as StockJob

from jobs.ledger import keys
from jobs.ledger.wire import deserialize
from jobs.schema import Job
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.test_batch_worker import ended, results, submit

QUEUE = keys.queue_name(MODEL)


async def enqueue_raw(redis: ArqRedis, job_id: str, payload: bytes) -> str:
    """A job as a stock client with another serializer writes it."""
    await redis.psetex(keys.JOB.of(job_id), 60_000, payload)
    await redis.zadd(QUEUE, {job_id: 1})
    return job_id


def payload(**fields: object) -> bytes:
    return msgspec.msgpack.encode({"t": None, "f": "infer", "a": ["a"], "k": {}, "et": 1, **fields})


PAYLOADS = {
    "not msgpack": b"\xc1",
    "invalid UTF-8": msgspec.msgpack.encode({"a": ["a"]})[:-1] + b"\xff",
    "an extension": payload(a=[msgspec.msgpack.Ext(1, b"x")]),
    "keys of two types": payload(k={"parameters": {"factor": {1: 2, "a": 3}}}),
    "a time beyond time": payload(et=2**62),
    "a count that is none": payload(k={"n": "three"}),
    "a count below none": payload(k={"n": -1}),
    "a count beyond memory": payload(k={"n": 10**13, "unknown": 1}),
    "a deadline that is none": payload(k={"expires_in": "soon"}),
    "no arguments": payload(a=[]),
}


async def test_invalid_payloads_fail_and_stop_no_other_job(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    """One worker claims them all, and with each of them a good job."""
    strange, good = {}, []
    for name, raw in PAYLOADS.items():
        strange[name] = await enqueue_raw(redis, f"strange {name}", raw)
        assert (await queue.read(strange[name])).status == "queued", name
        good.append(await submit(queue, "good"))
    async with serving() as worker:
        for name, job in zip(strange, await ended(queue, *strange.values()), strict=True):
            assert job.status in ("failed", "succeeded"), name
        jobs = await ended(queue, *good, await submit(queue, "good"))
        assert worker.engine.restarts == 0
    assert {job.status for job in jobs} == {"succeeded"}
    assert (await queue.depth())[MODEL].bytes == 0


@pytest.mark.parametrize("name", PAYLOADS)
async def test_it_can_be_cancelled_aborted_and_swept(redis: ArqRedis, queue: JobQueue, name: str) -> None:
    await enqueue_raw(redis, "one", PAYLOADS[name])
    assert (await queue.cancel("one")).status == "cancelled"

    await enqueue_raw(redis, "two", PAYLOADS[name])
    await redis.zadd(keys.ABORT.pattern, {"two": 2**45})
    assert await queue.sweep(MODEL) == (0, 0, 1)

    await enqueue_raw(redis, "three", PAYLOADS[name])
    await queue.claim(MODEL, 1)
    await redis.zadd(QUEUE, {"three": keys.RUNNING + 1})
    assert await queue.sweep(MODEL) == (1, 0, 0)
    await queue.cancel("three")
    assert await redis.zcard(QUEUE) == 0


async def test_a_window_emptied_by_cancelling_is_filled_again(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    slow = await submit(queue, gate.text)
    unwanted = [await submit(queue, f"text {i}") for i in range(3)]
    async with serving(max_batch_items=1, window_items=3, renew_every=0.05) as worker:

        async def busy() -> bool:
            return worker.engine.state == "busy" and (await queue.depth())[MODEL].running == 4

        await until(busy)
        for job_id in unwanted:
            await queue.cancel(job_id)

        async def dropped() -> bool:
            return len(worker._leases) == 1

        await until(dropped)
        gate.open()
        await ended(queue, slow)
        [after] = await ended(queue, await submit(queue, "after"))
    assert after.status == "succeeded"


async def test_results_beyond_the_limit_fail_the_job(queue: JobQueue, serving: Serving) -> None:
    async with serving(max_result_bytes=150_000):
        jobs = await ended(queue, await submit(queue, ["many"] * 40), await submit(queue, "good"))
    assert [job.status for job in jobs] == ["failed", "succeeded"]
    assert "result-too-large" in str(results(jobs[0])[0])
    assert len(results(jobs[0])) == 40


async def test_results_that_redis_will_not_take_fail_the_job(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    async with configured(redis, "proto-max-bulk-len", "1048576"), serving():
        jobs = await ended(queue, await submit(queue, ["many"] * 16), await submit(queue, "good"))
    assert [job.status for job in jobs] == ["failed", "succeeded"]


@contextlib.asynccontextmanager
async def configured(redis: ArqRedis, name: str, value: str) -> AsyncIterator[None]:
    before = (await redis.config_get(name))[name]
    await redis.config_set(name, value)
    try:
        yield
    finally:
        await redis.config_set(name, before)


async def test_large_jobs_leave_room_for_urgent_ones(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    first = await submit(queue, gate.text, priority="high")
    large = [await submit(queue, [f"text {i}" for i in range(100)]) for _ in range(10)]
    async with serving() as worker:

        async def held_and_full() -> bool:
            return worker.engine.state == "busy" and (await queue.depth())[MODEL].running > 1

        await until(held_and_full)
        urgent = await submit(queue, "urgent", priority="high")
        gate.open()
        _, job, *others = await ended(queue, first, urgent, *large)
    assert job.finished_at is not None
    before = [other for other in others if other.finished_at and other.finished_at < job.finished_at]
    assert len(before) <= 4, "only what was in the window came first, not all that waited"


async def test_what_is_urgent_goes_before_one_large_job(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    large = await submit(queue, [gate.text] + [f"text {i}" for i in range(999)], priority="low")
    # its rest takes seconds, so that a slow claim is still in time
    async with serving(options={"seconds": 0.05}) as worker:

        async def held() -> bool:
            return worker.engine.state == "busy"

        await until(held)
        urgent = await submit(queue, "urgent", priority="high")
        gate.open()
        first, last = await ended(queue, urgent, large)
    assert first.finished_at is not None
    assert last.finished_at is not None
    assert first.finished_at < last.finished_at


async def test_an_abort_that_comes_too_late_does_not_run_the_job_again(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    async with serving():
        [job] = await ended(queue, await submit(queue, "a"))
        # what arq's Job.abort does when the job ends between its look and its deed
        await redis.zadd(QUEUE, {job.id: 1})
        assert not await StockJob(job.id, redis, QUEUE, deserialize).abort(timeout=60, poll_delay=0.02)

        async def forgotten() -> bool:
            return not await redis.zcard(QUEUE)

        await until(forgotten)
    assert await queue.read(job.id) == job


async def test_a_job_whose_worker_was_lost_runs_without_neighbours(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    ids = [await submit(queue, f"text {i}") for i in range(4)]
    await redis.set(keys.ATTEMPTS.of(ids[1]), 1, ex=60)
    async with serving():
        jobs = await ended(queue, *ids)
    assert [batch_size(job) for job in jobs] == [3, 1, 3, 3]
    assert [job.attempts for job in jobs] == [1, 2, 1, 1]


def batch_size(job: Job) -> float:
    assert job.batch is not None
    return job.batch.size


async def test_a_job_that_was_started_too_often_has_a_complete_record(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    job_id = await submit(queue, ["a", "b", "c"])
    created = (await queue.read(job_id)).created_at
    await redis.set(keys.ATTEMPTS.of(job_id), 5, ex=60)
    async with serving():
        [job] = await ended(queue, job_id)
    assert (job.status, job.counts.total, len(results(job)), job.attempts) == ("failed", 3, 3, 5)
    assert job.created_at == created
