"""Reading moves what was asked for: a state without inputs and results, large results in slices."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import JobGone, JobNotFound
from jobs.ledger import keys, reading, views
from jobs.ledger.ids import new_id
from jobs.ledger.wire import decode_payload, serialize
from jobs.schema import from_ms
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import JobQueue, run_one
from tests.waiting import until

MIB = 1024 * 1024


@asynccontextmanager
async def moving_at_most(redis: ArqRedis, most: int) -> AsyncIterator[None]:
    """The server sends so many bytes at most, and its scripts hold as many more at most."""
    before = await redis.info()
    yield
    after = await redis.info()
    sent = after["total_net_output_bytes"] - before["total_net_output_bytes"] - 16_384  # INFO's own answers
    held = after["used_memory_lua"] - before["used_memory_lua"] - 65_536
    assert max(sent, held) <= most, f"{sent} bytes sent, {held} more held by scripts"


async def enqueue(redis: ArqRedis, payload: bytes) -> str:
    """As a client does that is not ours."""
    job_id = new_id()
    await redis.set(keys.JOB.of(job_id), payload, px=86_400_000)
    await redis.zadd(keys.queue_name(MODEL), {job_id: 1_700_000_000_000})
    return job_id


def stock(*args: object, function: str = "infer", **kwargs: object) -> bytes:
    """A payload as arq's client makes it."""
    return serialize({"t": None, "f": function, "a": args, "k": kwargs, "et": 1_700_000_000_123})


READS: dict[str, Callable[[JobQueue, str], Awaitable[Any]]] = {
    "read": lambda queue, job_id: queue.read(job_id),
    "listing": lambda queue, job_id: queue.recent(100),
    "cancel": lambda queue, job_id: queue.cancel(job_id),
    "depth": lambda queue, job_id: queue.depth(),
}


@pytest.mark.attack(
    "the state of large waiting jobs is read, listed, cancelled, counted",
    held="their inputs are not moved",
)
@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("parameters", [{}, {"notes": "y" * 10_000}])
async def test_a_state_is_read_without_the_inputs(
    queue: JobQueue, redis: ArqRedis, how: str, parameters: dict[str, Any]
) -> None:
    large = replace(new_job(), inputs=["x" * MIB] * 4, count=4, parameters=parameters)
    job, _ = await queue.submit(large)
    async with moving_at_most(redis, 131_072):
        await READS[how](queue, job.id)
    read = await queue.read(job.id)
    assert (read.counts, read.created_at) == (job.counts, job.created_at)


@pytest.mark.parametrize(
    "args", [("x" * 4 * MIB,), (["x" * MIB] * 4,), (["x" * 64] * 70_000,), ({"a": "x" * 4 * MIB}, 1)]
)
@pytest.mark.parametrize("how", ["read", "cancel"])
async def test_a_stock_clients_inputs_stay_where_they_are(
    queue: JobQueue, redis: ArqRedis, args: tuple[object, ...], how: str
) -> None:
    job_id = await enqueue(redis, stock(*args, parameters={}))
    async with moving_at_most(redis, 131_072):
        job = await READS[how](queue, job_id)
    assert job.created_at == from_ms(1_700_000_000_123)
    assert job.counts.total == (len(args[0]) if isinstance(args[0], list) else 1)


async def test_a_sweep_moves_no_inputs(queue: JobQueue, redis: ArqRedis) -> None:
    """Neither of a job that is expired nor of one that is given back, whose deadline then holds again."""
    large = replace(new_job(expires_in=3600), inputs=["x" * 4 * MIB])
    lost, _ = await queue.submit(large)
    await queue.claim(MODEL, 1)
    await queue.lapse(lost.id)
    overdue, _ = await queue.submit(large)
    await redis.zadd(await queue.beside(keys.DEADLINES, overdue.id), {overdue.id: 1})
    async with moving_at_most(redis, 131_072):
        assert await queue.sweep(MODEL) == (1, 1, 0)
    assert (
        await redis.zscore(await queue.beside(keys.DEADLINES, lost.id), lost.id)
        == lost.created_at.timestamp() * 1000 + 3_600_000
    )


@pytest.mark.parametrize("inputs", [1, 15, 16, 300, 70_000])
@pytest.mark.parametrize("size", [1, 100])
async def test_what_is_read_in_redis_is_what_the_payload_says(
    queue: JobQueue, redis: ArqRedis, inputs: int, size: int
) -> None:
    texts = ["x" * size] * inputs
    ours, _ = await queue.submit(replace(new_job(), inputs=texts, count=inputs))
    theirs = [stock(texts), stock(texts, function="f" * 300), stock(texts, parameters={"a": 1}), stock()]
    theirs += [serialize({"a": [texts], "et": 5, "f": "infer"}), b"\x80\x04\x95nonsense" * 100, b"\xc1" * 500]
    for job_id in [ours.id, *[await enqueue(redis, payload) for payload in theirs]]:
        job = await queue.read(job_id)
        try:
            payload = decode_payload(await redis.get(await queue.key(keys.JOB, job_id)))
            expected = (views.input_count(payload.a), from_ms(payload.et))
        except views.UNREADABLE:
            expected = (1, from_ms(0))
        assert (job.counts.total, job.created_at) == expected


async def ended(queue: JobQueue, bytes_of_results: int) -> tuple[str, list[dict[str, Any]]]:
    job, _ = await queue.submit(new_job())
    results = [{"output": f"{number:0100d}"} for number in range(bytes_of_results // 114)]
    await run_one(queue, results)
    return job.id, results


@pytest.mark.parametrize("how", READS)
async def test_a_state_is_read_without_large_results(queue: JobQueue, redis: ArqRedis, how: str) -> None:
    job_id, results = await ended(queue, 2 * MIB)
    async with moving_at_most(redis, 131_072):
        await READS[how](queue, job_id)
    job = await queue.read(job_id)
    assert (job.status, job.results) == ("succeeded", msgspec.UNSET)
    assert job.counts.total == len(results)


async def test_results_come_along_with_a_state_up_to_a_size(queue: JobQueue, redis: ArqRedis) -> None:
    job_id, results = await ended(queue, 100_000)
    job = await queue.read(job_id)
    assert msgspec.json.decode(job.results) == results  # type: ignore[arg-type]
    async with moving_at_most(redis, 131_072):
        [listed], _ = await queue.recent(1)
    assert listed == replace(job, results=None)


@pytest.mark.parametrize("size", [300_000, reading.SLICE, 3 * MIB + 17])
async def test_large_results_come_in_slices(queue: JobQueue, size: int) -> None:
    job_id, results = await ended(queue, size)
    stored = await queue.reading.stored(job_id, sees=None)
    assert msgspec.json.decode(await queue.reading.results(stored)) == results


async def test_results_whose_lifetime_ends_half_way_are_gone(
    queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, _ = await ended(queue, 3 * MIB)
    stored = await queue.reading.stored(job_id, sees=None)
    client = stored.shard.redis
    getrange = client.getrange
    slices: list[int] = []

    async def once(key: str, start: int, end: int) -> Any:
        slices.append(start)
        if len(slices) == 2:
            await redis.delete(key)
        return await getrange(key, start, end)

    monkeypatch.setattr(client, "getrange", once)
    with pytest.raises(JobGone):
        await queue.reading.results(stored)


async def test_results_of_another_job_under_the_same_id_are_not_mixed(
    queue: JobQueue, redis: ArqRedis
) -> None:
    """A stock client chooses its ids, and may use one again when the first job is gone."""
    job_id, results = await ended(queue, 3 * MIB)
    stored = await queue.reading.stored(job_id, sees=None)
    await redis.delete(await queue.key(keys.RESULT, job_id))
    other = results[::-1]
    await queue.submit(new_job(), job_id=job_id)

    async def later() -> bool:
        seconds, micros = await redis.time()
        assert stored.job.finished_at is not None
        return bool(stored.job.finished_at.timestamp() < seconds + micros // 1000 / 1000)

    await until(later)
    await run_one(queue, other)
    with pytest.raises(JobGone):
        await queue.reading.results(stored)
    assert (
        msgspec.json.decode(await queue.reading.results(await queue.reading.stored(job_id, sees=None)))
        == other
    )


async def test_a_job_of_a_model_that_is_not_served_is_not_called_unknown(
    redis: ArqRedis, queue: JobQueue
) -> None:
    """It waits in Redis until a server serves its model again."""
    job, _ = await queue.submit(new_job())
    other = JobQueue(redis, queue.settings, ["another"])
    with pytest.raises(JobNotFound, match="is of a model that this server does not serve; it is kept"):
        await other.read(job.id)
    with pytest.raises(JobNotFound, match="there is no job"):
        await other.read(new_id())
    assert (await queue.read(job.id)).status == "queued"
