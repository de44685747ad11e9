"""Inputs that end their engine, one after the other: what is urgent goes between, and a job has its limit.

Bounds are counted in restarts of the engine, never in seconds.
"""

import os
import signal
from typing import Any

import pytest

from jobs.schema import Job
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import Serving, end_hangs_early, let_expire
from tests.worker.scheduling.test_feeder import expecting
from tests.worker.test_batch_worker import ended, results, submit
from worker.batch_worker import BatchWorker
from worker.scheduling.isolation import MAX_KILLS, MAX_KILLS_PER_JOB
from worker.supervisor.engine import EngineLost

BOUND = 2
"""Restarts that a lone urgent input may have to wait for, once it is in the queue."""

A_FEW = 2 * MAX_KILLS + 2
"""Restarts that one job costs at most: its batch, and five kills by inputs that ran alone."""


def hostile_job(tried: str) -> pytest.MarkDecorator:
    """A row of the attack table, which these tests share."""
    return pytest.mark.attack(
        "a job of inputs that kill or hang the engine, cancelled or not",
        held="a `high` job of another client waits for at most two restarts; "
        "the job is given up after a few kills",
        tried=tried,
    )


def problems(job: Job) -> list[str]:
    """The kinds of the failures of a job's inputs, in their order; "" for an output."""
    outcomes: list[Any] = results(job)
    kinds = [result.get("error", {"type": ""})["type"] for result in outcomes]
    return [kind.removeprefix("urn:batchline:problem:") for kind in kinds]


async def busy(worker: BatchWorker) -> None:
    async def computes() -> bool:
        return worker.engine.state == "busy"

    await until(computes)


async def restarted(worker: BatchWorker, times: int = 1) -> None:
    async def enough() -> bool:
        return worker.engine.restarts >= times

    await until(enough)


async def between(worker: BatchWorker, queue: JobQueue, hostile: list[str]) -> Job:
    """Runs a hostile job, and checks that an urgent input waits for few restarts. Returns the hostile job."""
    submitted = await submit(queue, hostile)
    await restarted(worker)
    waiting = await submit(queue, "urgent", priority="high")
    before = worker.engine.restarts
    [urgent] = await ended(queue, waiting)
    assert worker.engine.restarts - before <= BOUND
    [job] = await ended(queue, submitted)
    assert worker.engine.restarts <= A_FEW
    assert urgent.status == "succeeded"
    return job


async def test_what_is_urgent_goes_between_the_suspects(queue: JobQueue, serving: Serving) -> None:
    async with serving() as worker:
        job = await between(worker, queue, ["die"] * 1_000)
    assert job.status == "failed"


@pytest.mark.parametrize("priority", ["high", "normal"])
async def test_another_job_runs_between_them_too(queue: JobQueue, serving: Serving, priority: str) -> None:
    async with serving() as worker:
        hostile = await submit(queue, ["die"] * 100, priority="high")
        await restarted(worker)
        waiting = await submit(queue, "innocent", priority=priority)
        before = worker.engine.restarts
        [innocent] = await ended(queue, waiting)
        assert worker.engine.restarts - before <= BOUND
        await queue.cancel(hostile)
    assert innocent.status == "succeeded"


@hostile_job(tried="40 inputs, one in a batch")
async def test_a_job_is_given_up_when_each_batch_holds_one_of_its_inputs(
    queue: JobQueue, serving: Serving
) -> None:
    async with serving(max_batch_items=1) as worker:
        hostile = await submit(queue, ["die"] * 40)
        await restarted(worker, MAX_KILLS_PER_JOB - 1)
        waiting = await submit(queue, "innocent")
        before = worker.engine.restarts
        [innocent] = await ended(queue, waiting)
        assert worker.engine.restarts - before <= BOUND
        [job] = await ended(queue, hostile)
        await ended(queue, await submit(queue, "after"))
        assert worker.engine.restarts == MAX_KILLS_PER_JOB
    assert innocent.status == "succeeded"
    kinds = problems(job)
    assert (kinds.count("engine-died"), kinds.count("job-given-up")) == (3, 37)


@hostile_job(tried="200 inputs")
async def test_a_cancelled_job_is_tried_no_more(queue: JobQueue, serving: Serving) -> None:
    async with serving(renew_every=0.05, max_batch_items=200) as worker:
        hostile = await submit(queue, ["die"] * 200)
        await restarted(worker)
        await queue.cancel(hostile)

        async def dropped() -> bool:
            return not len(worker._leases)

        await until(dropped)
        waiting = await submit(queue, "after", priority="low")
        before = worker.engine.restarts
        [after] = await ended(queue, waiting)
        assert worker.engine.restarts - before <= BOUND
    assert after.status == "succeeded"


async def test_a_batch_that_hangs_is_ended_when_its_jobs_are_cancelled(
    queue: JobQueue, serving: Serving
) -> None:
    async with serving(renew_every=0.05, batch_timeout=3600.0) as worker:
        hostile = await submit(queue, ["hang"] * 4)
        await busy(worker)
        await queue.cancel(hostile)
        [after] = await ended(queue, await submit(queue, "after"))
        assert worker.engine.restarts == 1
    assert after.status == "succeeded"


@hostile_job(tried="40 inputs")
async def test_the_rest_of_a_job_that_kills_again_and_again_fails(queue: JobQueue, serving: Serving) -> None:
    async with serving(max_batch_items=4) as worker:
        hostile = await submit(queue, ["a", "b", "c", "d", *["die"] * 40])
        [job] = await ended(queue, hostile)
        assert worker.engine.restarts <= 2 * A_FEW
        [after] = await ended(queue, await submit(queue, "after"))
    kinds = problems(job)
    assert job.status == "succeeded", "what had an output keeps it"
    assert kinds.count("") == 4
    assert kinds.count("engine-died") >= 2
    assert kinds.count("job-given-up") >= 30
    given_up = next(result for result in results(job) if "job-given-up" in str(result))
    assert "inputs of this job" in str(given_up)
    assert after.status == "succeeded"


@hostile_job(tried="24 inputs")
async def test_many_hostile_jobs_of_one_input_each(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    async with serving(max_batch_items=24) as worker:
        await expecting(queue, worker, 3_600_000.0)  # so that none is prepared behind it
        await submit(queue, gate.text)
        await busy(worker)
        hostile = [await submit(queue, "die") for _ in range(24)]

        async def claimed() -> bool:
            return len(worker._batcher) == len(hostile)

        await until(claimed)
        gate.open()  # one batch holds them all: one that comes later shares no batch with an unknown killer
        await restarted(worker)
        for text, priority in (("urgent", "high"), ("innocent", "normal"), ("urgent too", "high")):
            waiting = await submit(queue, text, priority=priority)
            before = worker.engine.restarts
            [between] = await ended(queue, waiting)
            assert between.status == "succeeded"
            assert worker.engine.restarts - before <= BOUND
        for job_id in hostile:
            await queue.cancel(job_id)


async def test_one_that_shares_a_batch_with_killers_is_the_first_suspect_to_be_tried(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    async with serving() as worker:
        await submit(queue, gate.text)
        await busy(worker)
        hostile = [await submit(queue, "die") for _ in range(12)]
        urgent = await submit(queue, "urgent", priority="high")

        async def claimed() -> bool:
            return len(worker._batcher) == 13

        await until(claimed)
        gate.open()
        [job] = await ended(queue, urgent)
        assert worker.engine.restarts <= BOUND
        for job_id in hostile:
            await queue.cancel(job_id)
    assert job.status == "succeeded"


async def test_suspects_that_fill_the_window_leave_room_for_what_is_urgent(
    queue: JobQueue, serving: Serving
) -> None:
    async with serving(max_batch_items=4, window_items=4) as worker:
        hostile = [await submit(queue, "die") for _ in range(16)]

        async def full() -> bool:
            return len(worker._feeder.isolation) >= 3

        await until(full)
        waiting = await submit(queue, "urgent", priority="high")
        before = worker.engine.restarts
        [urgent] = await ended(queue, waiting)
        assert worker.engine.restarts - before <= BOUND
        assert len(worker._leases) <= 4 + 4, "others can take the rest"
        for job_id in hostile:
            await queue.cancel(job_id)
    assert urgent.status == "succeeded"


async def test_a_suspect_is_tried_when_all_that_waited_has_expired(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    async with serving(max_batch_items=1) as worker:
        await expecting(queue, worker, 3_600_000.0)  # so that none is prepared behind it
        suspect = await submit(queue, gate.text)
        await busy(worker)
        late = await submit(queue, "late", expires_in=3_600.0)
        await let_expire(worker, late)
        assert worker.engine.pid is not None
        os.kill(worker.engine.pid, signal.SIGKILL)
        gate.open()
        jobs = await ended(queue, suspect, late)
    assert [job.status for job in jobs] == ["succeeded", "expired"]


@hostile_job(tried="300 inputs")
async def test_inputs_that_hang(queue: JobQueue, serving: Serving) -> None:
    async with serving() as worker:
        end_hangs_early(worker.engine)
        job = await between(worker, queue, ["hang"] * 300)
    assert set(problems(job)) == {"engine-timeout", "job-given-up"}


async def test_a_stop_releases_suspects_and_charges_jobs_that_killed_engines(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    """A job that killed engines must not return forever."""
    async with serving(max_batch_items=4) as worker:
        await submit(queue, gate.text)
        await busy(worker)
        innocent, guilty = await submit(queue, ["x" * 300] * 2), await submit(queue, ["die"] * 2)

        async def claimed() -> bool:
            return len(worker._batcher) == 4

        await until(claimed)
        gate.open()

        async def killed() -> bool:
            return any(trial.kills for trial in worker._feeder.isolation._trials)

        await until(killed)
        worker.stop()
    jobs = [await queue.read(job_id) for job_id in (innocent, guilty)]
    assert jobs[1].status == "queued"
    assert jobs[1].attempts == 1
    assert jobs[0].status == "succeeded" or jobs[0].attempts == 0


async def test_an_engine_that_cannot_be_started_again_loses_no_suspect(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cannot(reason: str = "") -> None:
        raise EngineLost("it does not start")

    ids = [await submit(queue, text) for text in ("die", "die", "die")]
    async with serving() as worker:
        monkeypatch.setattr(worker.engine, "restart", cannot)

        async def given_back() -> bool:
            return "does not start" in worker.statistics.beat.engine_fault and not len(worker._leases)

        await until(given_back)
        assert [(await queue.read(job_id)).status for job_id in ids] == ["queued"] * 3
