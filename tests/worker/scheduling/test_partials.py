"""What a worker writes of texts that grow: all of it, in order, and from the beginning after a restart."""

import os
import signal
from collections.abc import Sequence

import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueUnavailable
from jobs.ledger import keys, partials
from jobs.ledger.claims import Claims
from jobs.ledger.partials import Appended, Output, Restarted
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.scheduling.conftest import Rolling, numbers, until_joined
from tests.worker.test_batch_worker import ended, submit


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


async def test_texts_are_complete_before_their_job_ends(
    queue: JobQueue, rolling: Rolling, redis: ArqRedis
) -> None:
    async with rolling():
        plain = await numbers(queue, 8)
        both = await submit(queue, ["a", "b"], parameters={"tokens": 90}, stream=True)
        await ended(queue, plain, both)
    found = await entries(queue, both)
    assert [text(found, index) for index in (0, 1)] == [counted(90)] * 2
    assert len(found) < 180, "tokens that come together are written together"
    assert await redis.exists(await queue.key(keys.PARTIALS, plain)) == 0


async def test_jobs_without_stream_cost_no_command(
    queue: JobQueue, rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def append(claims: Claims, some: Sequence[Appended]) -> list[int]:
        raise AssertionError("nothing to append")

    monkeypatch.setattr(Claims, "append", append)
    async with rolling() as worker:
        await ended(queue, await numbers(queue, 50), await submit(queue, ["a", "b"]))
        [keeper, *_] = worker._leases._keepers
        assert not keeper.partials._jobs


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


@pytest.mark.parametrize("arrived", [False, True])
async def test_a_failed_write_leaves_no_gap_and_repeats_nothing(
    queue: JobQueue, rolling: Rolling, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    monkeypatch.setattr("worker.leases.partials.RETRY_AFTER", 0.01)
    append, failures = Claims.append, iter(range(3))

    async def failing(claims: Claims, some: Sequence[Appended]) -> list[int]:
        failing_now = next(failures, None) is not None
        if failing_now and not arrived:
            raise QueueUnavailable("no answer")
        lengths = await append(claims, some)
        if failing_now:
            raise QueueUnavailable("no answer")
        return lengths

    monkeypatch.setattr(Claims, "append", failing)
    async with rolling():
        job_id = await numbers(queue, 400, stream=True)
        await ended(queue, job_id)
    assert text(await entries(queue, job_id)) == counted(400)
    assert next(failures, None) is None


async def test_a_worker_that_takes_a_job_over_restarts_its_texts(queue: JobQueue, rolling: Rolling) -> None:
    job_id = await submit(queue, "x", parameters={"tokens": 5}, stream=True)
    [lost], _ = await queue.claim("sentiment", 1)
    await queue.start([lost])
    await queue.append(lost, 0, Output(0, "1 2 ", 2))
    await queue.lapse(job_id)
    await queue.sweep("sentiment")
    async with rolling():
        await ended(queue, job_id)
    found = await entries(queue, job_id)
    assert found[:2] == [Output(0, "1 2 ", 2), Restarted(0)]
    assert text(found) == counted(5)
    assert len(await queue.following.partials(job_id, 0)) > 0


async def test_texts_beyond_a_limit_stop_and_the_answer_comes(
    queue: JobQueue, rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.leases.partials.MAX_WAITING", 0)
    async with rolling():
        job_id = await numbers(queue, 8, stream=True)
        [job] = await ended(queue, job_id)
    assert job.status == "succeeded"
    assert await entries(queue, job_id) == []
