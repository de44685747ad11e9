"""The contract with arq: a stock client enqueues, reads and aborts; Batchline's jobs read as arq's own."""

from collections.abc import AsyncIterator
from urllib.parse import urlparse

import pytest
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job, JobStatus

from jobs.errors import JobFailed
from jobs.ledger import keys
from jobs.ledger.wire import deserialize, serialize
from jobs.monitoring.roster import Roster
from tests.gate import Gate
from tests.ledger import JobQueue, first_shard
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.test_batch_worker import ended, submit

QUEUE = keys.queue_name(MODEL)


@pytest.fixture
async def stock(redis_url: str) -> AsyncIterator[ArqRedis]:
    """A stock client: arq's own pool with msgpack as its serializer."""
    address = urlparse(redis_url)
    settings = RedisSettings(host="127.0.0.1", port=address.port or 0, database=int(address.path[1:]))
    client = await create_pool(settings, job_serializer=serialize, job_deserializer=deserialize)
    yield client
    await client.aclose(close_connection_pool=True)


async def enqueue(stock: ArqRedis, *args: object, function: str = "infer", **kwargs: object) -> Job:
    job = await stock.enqueue_job(function, *args, _queue_name=QUEUE, **kwargs)  # type: ignore[arg-type]
    assert job is not None
    return job


async def test_a_stock_client_enqueues_and_reads_the_result(stock: ArqRedis, serving: Serving) -> None:
    job = await enqueue(stock, ["a", "b"], parameters={"factor": 3.0})
    assert await job.status() == JobStatus.queued
    async with serving():
        results = await job.result(timeout=60, poll_delay=0.02)
    assert [result["output"]["text"] for result in results] == ["A", "B"]
    assert results[0]["output"]["factor"] == 3.0
    assert await job.status() == JobStatus.complete
    info = await job.result_info()
    assert info is not None
    assert (info.success, info.function, info.queue_name, info.job_try) == (True, "infer", QUEUE, 1)
    assert info.enqueue_time <= info.start_time <= info.finish_time


async def test_its_job_is_read_over_our_queue_too(
    stock: ArqRedis, queue: JobQueue, serving: Serving, redis: ArqRedis
) -> None:
    job = await enqueue(stock, "a")
    assert (await queue.read(job.job_id)).status == "queued"
    async with serving():
        await job.result(timeout=60, poll_delay=0.02)
    assert (await queue.read(job.job_id)).status == "succeeded"
    assert [listed.id for listed in (await queue.recent(10))[0]] == [job.job_id]
    assert (await queue.depth())[MODEL].bytes == 0
    assert not await redis.exists(keys.JOB.of(job.job_id))


async def test_our_job_is_read_by_a_stock_client(
    stock: ArqRedis, queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    job = Job(await submit(queue, gate.text), stock, QUEUE, deserialize)
    assert await job.status() == JobStatus.queued
    info = await job.info()
    assert info is not None
    assert (info.function, info.args[0]) == ("infer", gate.text)
    async with serving():

        async def in_progress() -> bool:
            return await job.status() == JobStatus.in_progress

        await until(in_progress)
        gate.open()
        assert (await job.result(timeout=60, poll_delay=0.02))[0]["output"]["text"] == gate.text.upper()


async def test_a_stock_client_sees_why_a_job_failed(stock: ArqRedis, serving: Serving) -> None:
    job = await enqueue(stock, "raise")
    async with serving():
        with pytest.raises(JobFailed, match="this text is bad"):
            await job.result(timeout=60, poll_delay=0.02)


async def test_a_stock_client_aborts_a_waiting_job(
    stock: ArqRedis, queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    slow = await submit(queue, gate.text)
    job = await enqueue(stock, "waits")
    async with serving(max_batch_items=1, renew_every=0.05) as worker:

        async def running() -> bool:
            return (await queue.read(slow)).status == "running"

        await until(running)
        assert await job.abort(timeout=60, poll_delay=0.02)

        async def dropped() -> bool:
            return len(worker._leases) == 1

        await until(dropped)
        gate.open()
        await ended(queue, slow)
        assert worker.statistics.beat.items == 1
    assert (await queue.read(job.job_id)).status == "cancelled"
    assert await stock.zcard(keys.ABORT.pattern) == 0


async def test_a_stock_client_aborts_a_running_job(
    stock: ArqRedis, queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    running = await submit(queue, gate.text)
    async with serving():
        job = Job(running, stock, QUEUE, deserialize)

        async def in_progress() -> bool:
            return await job.status() == JobStatus.in_progress

        await until(in_progress)
        assert await job.abort(timeout=60, poll_delay=0.02)
        gate.open()
    assert (await queue.read(running)).status == "cancelled"


async def test_a_deferred_job_is_not_run_early(stock: ArqRedis, queue: JobQueue, serving: Serving) -> None:
    much_later = await enqueue(stock, "much later", _defer_by=3_600.0)
    assert await much_later.status() == JobStatus.deferred
    job = await enqueue(stock, "later", _defer_by=1.0)
    async with serving():
        await job.result(timeout=60, poll_delay=0.02)
    assert await much_later.status() == JobStatus.deferred
    await queue.cancel(much_later.job_id)
    late = await queue.read(job.job_id)
    assert late.started_at is not None
    assert (late.started_at - late.created_at).total_seconds() >= 1.0


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ([3], {}, "expected a text"),
        (["a", "b"], {}, "one argument"),
        (["a"], {"parameters": {"no": 1}}, "parameters: no is unknown"),
        (["a"], {"expires_in": "soon"}, "expires_in"),
        (["a"], {"parameters": 1}, "parameters"),
        (["a"], {"function": "train"}, "unknown function 'train'"),
    ],
)
async def test_what_cannot_be_run_fails_with_a_reason(
    stock: ArqRedis, serving: Serving, args: list[object], kwargs: dict[str, object], message: str
) -> None:
    job = await enqueue(stock, *args, **kwargs)  # type: ignore[arg-type]
    async with serving():
        with pytest.raises(JobFailed, match=message):
            await job.result(timeout=60, poll_delay=0.02)


async def test_a_pickled_job_is_refused_without_being_read(
    redis_url: str, queue: JobQueue, serving: Serving
) -> None:
    address = urlparse(redis_url)
    pickling = await create_pool(
        RedisSettings(host="127.0.0.1", port=address.port or 0, database=int(address.path[1:]))
    )
    job = await pickling.enqueue_job("infer", "a", _queue_name=QUEUE)
    await pickling.aclose(close_connection_pool=True)
    assert job is not None
    assert (await queue.read(job.job_id)).status == "queued"
    async with serving():

        async def failed() -> bool:
            return (await queue.read(job.job_id)).status == "failed"

        await until(failed)
    assert b"cannot be read" in bytes((await queue.read(job.job_id)).results or b"")


async def test_a_payload_that_ran_out_leaves_a_result(
    stock: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    job = await enqueue(stock, "a", _expires=0.001)

    async def ran_out() -> bool:
        return not await stock.exists(keys.JOB.of(job.job_id))

    await until(ran_out)
    async with serving():
        with pytest.raises(JobFailed, match="expired"):
            await job.result(timeout=60, poll_delay=0.02)
    assert (await queue.depth())[MODEL].waiting == 0


async def test_each_worker_has_a_health_key_of_its_own(redis: ArqRedis, serving: Serving) -> None:
    async with serving(), serving():

        async def both() -> bool:
            return len(await Roster(first_shard(redis)).read()) == 2

        await until(both)
