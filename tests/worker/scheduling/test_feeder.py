"""One batch computing and one behind it: what becomes of the one behind when anything happens."""

import math
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import Serving, let_expire
from tests.worker.test_batch_worker import ended, new_job, results, submit
from worker.batch_worker import BatchWorker
from worker.batching.cost_model import CostModel
from worker.engine.protocol import Cost


@asynccontextmanager
async def two_in_the_engine(
    queue: JobQueue, serving: Serving, gate: Gate, behind: str, **fields: Any
) -> AsyncIterator[tuple[BatchWorker, list[str]]]:
    """A worker whose engine computes the gate and has the text `behind` prepared; and the jobs' ids."""
    async with serving(**{"max_batch_items": 1, **fields}) as worker:
        await expecting_short(queue, worker)
        ids = [await submit(queue, gate.text), await submit(queue, behind)]
        await until_two(worker)
        yield worker, ids


async def expecting_short(queue: JobQueue, worker: BatchWorker) -> None:
    """Makes it expect batches so short that the next is prepared at once."""
    await expecting(queue, worker, 5.0)


async def expecting(queue: JobQueue, worker: BatchWorker, milliseconds: float) -> None:
    await ended(queue, await submit(queue, "first"))
    worker._feeder.cost_model = CostModel(Cost(512, fixed_ms=milliseconds, token_ms=1e-6))
    # what a busy machine has measured of a model that takes no time may be any cost, and so split any batch
    worker._batcher.set_costs(math.inf, math.inf, math.inf, packs=False)


async def until_two(worker: BatchWorker) -> None:
    async def two() -> bool:
        return len(worker._feeder._sent) == 2

    await until(two)


async def test_it_runs_next(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    async with two_in_the_engine(queue, serving, gate, "behind") as (worker, ids):
        assert [(await queue.read(job_id)).attempts for job_id in ids][1] == 0, "not charged while it waits"
        gate.open()
        jobs = await ended(queue, *ids)
        assert worker.statistics.beat.items == 3
    assert [(job.status, job.attempts) for job in jobs] == [("succeeded", 1)] * 2


async def test_a_stop_releases_it_uncharged(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    async with two_in_the_engine(queue, serving, gate, "behind") as (worker, ids):
        worker.stop()
        gate.open()
    jobs = [await queue.read(job_id) for job_id in ids]
    assert [(job.status, job.attempts) for job in jobs] == [("succeeded", 1), ("queued", 0)]
    assert worker.statistics.beat.items == 2, "it was not run"


async def test_it_is_no_suspect_when_the_engine_dies(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    async with two_in_the_engine(queue, serving, gate, "behind") as (worker, ids):
        assert worker.engine.pid is not None
        os.kill(worker.engine.pid, signal.SIGKILL)

        [behind] = await ended(queue, ids[1])
        assert worker.engine.restarts == 1, "it goes before the suspect, which holds the engine"
        gate.open()
        jobs = [*await ended(queue, ids[0]), behind]
    assert [(job.status, job.attempts) for job in jobs] == [("succeeded", 1)] * 2
    assert worker.engine.restarts == 1


@pytest.mark.parametrize("late", [False, True])
async def test_it_does_not_run_when_its_job_is_cancelled_meanwhile(
    queue: JobQueue, serving: Serving, gate: Gate, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """If it ran, its hang would delay all others; also if the engine can no longer skip it."""
    fields = {"renew_every": 0.05, "batch_timeout": 3600.0}
    async with two_in_the_engine(queue, serving, gate, "hang", **fields) as (worker, ids):
        if late:
            monkeypatch.setattr(worker.engine, "withdraw", lambda: None)
        await queue.cancel(ids[1])

        async def dropped() -> bool:
            return len(worker._leases) == 1

        await until(dropped)
        gate.open()
        jobs = await ended(queue, ids[0], await submit(queue, "after", priority="high"))
        assert worker.engine.restarts == (1 if late else 0)
    assert [job.status for job in jobs] == ["succeeded"] * 2


async def test_it_runs_though_the_one_before_it_raises(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    async with serving(max_batch_items=2) as worker:
        await expecting_short(queue, worker)
        raising = await submit(queue, [gate.text, "quote " + 300 * "x"])  # the longer, and so the second

        async def runs() -> bool:
            return len(worker._feeder._sent) == 1

        await until(runs)
        behind = await submit(queue, ["behind", "die"])
        await until_two(worker)
        gate.open()
        jobs = await ended(queue, raising, behind)
    assert [["output" in result for result in results(job)] for job in jobs] == [[True, False]] * 2
    assert "ValueError" in str(results(jobs[0])[1])
    assert "2 times" in str(results(jobs[1])[1])


async def test_it_expires_while_it_waits(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    async with serving(max_batch_items=1) as worker:
        await expecting_short(queue, worker)
        slow = await submit(queue, gate.text)
        late = await submit(queue, "late", expires_in=3_600.0)
        await until_two(worker)
        await let_expire(worker, late)
        gate.open()
        first, second = await ended(queue, slow, late)
    assert (first.status, second.status) == ("succeeded", "expired")
    assert (second.attempts, second.started_at, second.results) == (0, None, None)


async def test_a_job_in_both_ends_once(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    """Its first answer is already too large; the other arrives after its end."""
    async with serving(max_batch_items=1, max_result_bytes=50_000) as worker:
        await expecting_short(queue, worker)
        job_id = await submit(queue, ["many", "many", "many", "many"])
        [job] = await ended(queue, job_id)
        [after] = await ended(queue, await submit(queue, "after"))
        assert worker.statistics.beat.jobs == {"succeeded": 2, "failed": 1}
    assert (job.status, after.status) == ("failed", "succeeded")


async def test_a_job_from_a_lost_worker_is_never_behind_another(
    redis: ArqRedis, queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    """It must be charged before it is computed."""
    async with serving(max_batch_items=1) as worker:
        await expecting_short(queue, worker)
        slow, returned = await submit(queue, gate.text), new_job("returned")
        await redis.set(keys.ATTEMPTS.of("0" * 8), 1, ex=60)
        job, _ = await queue.submit(returned, job_id="0" * 8)

        async def put_back() -> bool:
            return worker._feeder._empty_first

        await until(put_back)
        assert len(worker._feeder._sent) == 1
        gate.open()
        jobs = await ended(queue, slow, job.id)
    assert [job.attempts for job in jobs] == [1, 2]


async def test_the_next_batch_is_chosen_late_if_batches_are_long(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    async with serving(max_batch_items=1) as worker:
        await expecting(queue, worker, 3_600_000.0)
        slow, second = await submit(queue, gate.text), await submit(queue, "second")

        async def claimed() -> bool:
            return bool(worker._feeder._sent) and len(worker._feeder._sent) + len(worker._batcher) == 2

        await until(claimed)
        assert (len(worker._feeder._sent), len(worker._batcher)) == (1, 1)
        first = await submit(queue, "urgent", priority="high")

        async def claimed_too() -> bool:
            return len(worker._leases) == 3

        await until(claimed_too)
        gate.open()
        jobs = await ended(queue, slow, first, second)
    finished = [job.finished_at for job in jobs if job.finished_at]
    assert finished == sorted(finished), "what came later was in time to go first"
