"""What a worker writes of texts that grow: all of it, in order, and from the beginning after a restart."""

import asyncio
import os
import signal
from collections.abc import Sequence

import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueUnavailable
from jobs.ledger import keys, partials
from jobs.ledger.claims import Claims
from jobs.ledger.leasing import Ending, Progress
from jobs.ledger.partials import Appended, Output, Restarted
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.store import Server
from tests import valkey
from tests.faults.proxy import between
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import Serving, poison_spec, stopped
from tests.worker.scheduling.conftest import ROLLING, Rolling, numbers, outputs, until_joined
from tests.worker.test_batch_worker import ended, submit
from worker.batch_worker import BatchWorker
from worker.leases.held import HeldJob
from worker.leases.partials import PartialsWriter


async def entries(queue: JobQueue, job_id: str) -> list[Output | Restarted]:
    return [line.decoded() for line in partials.lines(await queue.following.partials(job_id, 0), 0)]


def text(found: Sequence[Output | Restarted], index: int = 0) -> str:
    """The text of an input as a client has it at the end."""
    parts: list[str] = []
    for one in found:
        if one.index == index:
            parts = [*parts, one.text] if isinstance(one, Output) else []
    return "".join(parts)


def counted(tokens: int) -> str:
    return "".join(f"{i} " for i in range(1, tokens + 1))


async def test_texts_are_complete_before_their_job_ends_and_others_cost_no_command(
    queue: JobQueue, rolling: Rolling, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, appended = Claims.append, set[str]()

    async def noting(claims: Claims, some: Sequence[Appended]) -> list[int]:
        appended.update(one.id for one in some)
        return await append(claims, some)

    monkeypatch.setattr(Claims, "append", noting)
    async with rolling() as worker:
        plain = await numbers(queue, 8)
        both = await submit(queue, ["a", "b"], parameters={"tokens": 90}, stream=True)
        await ended(queue, plain, both)
        assert not any(keeper.partials._jobs for keeper in worker._leases._keepers)
    found = await entries(queue, both)
    assert [text(found, index) for index in (0, 1)] == [counted(90)] * 2
    assert len(found) < 180, "tokens that come together are written together"
    assert appended == {both}
    assert await redis.exists(await queue.key(keys.PARTIALS, plain)) == 0


async def test_the_beginning_of_a_text_is_written_soon(
    queue: JobQueue, rolling: Rolling, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when something was just written: somebody waits for the first word."""
    monkeypatch.setattr("worker.leases.partials.WRITE_EVERY", 3600.0)
    async with rolling():
        for _ in range(2):
            job_id = await submit(queue, gate.text, stream=True)

            async def begun(job_id: str = job_id) -> bool:
                return bool(await queue.following.partials(job_id, 0))

            await until(begun, 20)  # before the end of the text, which the time limit of a batch brings
        gate.open()


async def test_an_engine_that_dies_restarts_the_texts_of_its_rows(
    queue: JobQueue, rolling: Rolling, gate: Gate
) -> None:
    async with rolling() as worker:
        held = await submit(queue, gate.text, stream=True)
        await until_joined(worker, 1)

        async def written() -> bool:
            return bool(await queue.following.partials(held, 0))

        await until(written)
        assert worker.engine.pid is not None
        os.kill(worker.engine.pid, signal.SIGKILL)
        gate.open()
        await ended(queue, held)
    found = await entries(queue, held)
    assert sum(isinstance(one, Restarted) for one in found) >= 1
    last = next(one for one in reversed(found) if isinstance(one, Output))
    assert text(found) == counted(last.tokens)


async def test_failed_writes_leave_no_gap_and_repeat_nothing(
    queue: JobQueue, rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether their lines had arrived or not."""
    monkeypatch.setattr("worker.leases.partials.RETRY_AFTER", 0.01)
    append, failures = Claims.append, iter([False, True] * 3)

    async def failing(claims: Claims, some: Sequence[Appended]) -> list[int]:
        arrives = next(failures, None)
        lengths = [] if arrives is False else await append(claims, some)
        if arrives is not None:
            raise QueueUnavailable("no answer")
        return lengths

    monkeypatch.setattr(Claims, "append", failing)
    async with rolling():
        job_id = await numbers(queue, 400, stream=True)
        await ended(queue, job_id)
    assert text(await entries(queue, job_id)) == counted(400)
    assert next(failures, None) is None


async def test_a_worker_that_takes_jobs_over_restarts_their_texts(queue: JobQueue, rolling: Rolling) -> None:
    """Of an attempt that was lost, of one that was released, and of one that was never charged.

    The text of an input that is done remains.
    """
    # equal lines would count as lines that arrived when their answer was lost, and need no restart
    before = [Output(index, "one two ", 2) for index in (0, 1)]
    for _ in range(3):
        await submit(queue, ["x", "y"], parameters={"tokens": 5}, stream=True)
    jobs, _ = await queue.claim("sentiment", 6)
    lost, released, uncharged = jobs
    await queue.start([lost, released])
    for job in jobs:
        await queue.append(job, 0, *before)
    done = b'{"index":0,"output":"of a worker that was lost"}'
    await queue.note([Progress(lost.id, lost.token, 0, 1, 0, [done])])
    await queue.lapse(lost.id)
    await queue.sweep("sentiment")
    await queue.release("sentiment", [(released, 0), (uncharged, 0)])
    async with rolling():
        await ended(queue, *[job.id for job in jobs])
    for job in jobs:
        found = await entries(queue, job.id)
        restarts = [Restarted(1)] if job is lost else [Restarted(0), Restarted(1)]
        assert found[:2] == before
        assert found[2 : 2 + len(restarts)] == restarts
        assert all(isinstance(one, Output) for one in found[2 + len(restarts) :])
        assert [text(found, index) for index in (0, 1)] == [
            "one two " if job is lost else counted(5),
            counted(5),
        ]


async def test_texts_beyond_a_limit_stop_and_the_answer_comes(
    queue: JobQueue, rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rolling(max_result_bytes=150):
        long = await numbers(queue, 400, stream=True)
        [job] = await ended(queue, long)
        monkeypatch.setattr("worker.leases.partials.MAX_WAITING", 0)  # as if Redis could not be reached
        waiting = await numbers(queue, 8, stream=True)
        assert [one.status for one in (job, *await ended(queue, waiting))] == ["succeeded"] * 2
    *before, last = partials.lines(await queue.following.partials(long, 0), 0)
    assert last.position > 150, "or this tests nothing"
    assert all(line.position <= 150 for line in before)
    assert counted(400).startswith(text([line.decoded() for line in [*before, last]]))
    assert await entries(queue, waiting) == []


async def test_a_job_ends_after_a_write_that_runs(
    queue: JobQueue, rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    append, finish, flush = Claims.append, Claims.finish, PartialsWriter.flush
    writing, ending = asyncio.Event(), asyncio.Event()

    async def appending(claims: Claims, some: Sequence[Appended]) -> list[int]:
        writing.set()
        await ending.wait()
        lengths = await append(claims, some)
        order.append("appended")
        return lengths

    async def flushing(writer: PartialsWriter, jobs: Sequence[HeldJob]) -> None:
        await writing.wait()
        ending.set()
        await flush(writer, jobs)

    async def finishing(claims: Claims, model: str, endings: Sequence[Ending]) -> set[str]:
        order.append("finish")
        return await finish(claims, model, endings)

    monkeypatch.setattr(Claims, "append", appending)
    monkeypatch.setattr(Claims, "finish", finishing)
    monkeypatch.setattr(PartialsWriter, "flush", flushing)
    async with rolling():
        job_id = await numbers(queue, 1, stream=True)
        await ended(queue, job_id)
    assert order == ["appended", "finish"]
    assert text(await entries(queue, job_id)) == counted(1)


async def test_connections_that_are_cut_lose_no_text(
    queue: JobQueue, settings: Settings, server: valkey.Server, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections to Redis are reset several times while a text grows."""
    monkeypatch.setattr("worker.leases.partials.RETRY_AFTER", 0.01)
    async with between(server.port) as proxy:
        database = settings.redis_url.rpartition("/")[2]
        through = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{proxy.port}/{database}"})
        store = connect(through)
        worker = BatchWorker(Server(store), through, poison_spec(**ROLLING), lambda: None)
        running = asyncio.create_task(worker.main())
        try:
            job_id = await submit(queue, gate.text, stream=True)
            for _ in range(4):
                before = len(await queue.following.partials(job_id, 0))

                async def grown(before: int = before) -> bool:
                    return len(await queue.following.partials(job_id, 0)) > before

                await until(grown)
                proxy.reset()
            gate.open()
            await ended(queue, job_id)
        finally:
            worker.stop()
            await stopped(running)
            await worker.close()
            await store.aclose(close_connection_pool=True)
    found = await entries(queue, job_id)
    assert not any(isinstance(one, Restarted) for one in found)
    [*_, last] = found
    assert isinstance(last, Output)
    assert text(found) == counted(last.tokens)
    assert outputs(await queue.read(job_id))[0]["tokens"] == last.tokens


async def test_a_cancelled_job_gets_no_more_text(queue: JobQueue, rolling: Rolling, gate: Gate) -> None:
    async with rolling() as worker:
        job_id = await submit(queue, gate.text, stream=True)

        async def written() -> bool:
            return bool(await queue.following.partials(job_id, 0))

        async def forgotten() -> bool:
            return not any(keeper.partials._jobs for keeper in worker._leases._keepers)

        await until(written)
        await queue.cancel(job_id)
        length = len(await queue.following.partials(job_id, 0))
        await until(forgotten)
        assert len(await queue.following.partials(job_id, 0)) == length
        gate.open()


async def test_a_model_whose_texts_do_not_grow_ignores_it(
    queue: JobQueue, serving: Serving, redis: ArqRedis
) -> None:
    async with serving():
        job_id = await submit(queue, "text", stream=True)
        [job] = await ended(queue, job_id)
    assert job.status == "succeeded"
    assert await redis.exists(await queue.key(keys.PARTIALS, job_id)) == 0
