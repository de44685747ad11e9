"""Rows that fail, hang or end their engine, and workers that are lost: the other rows are answered."""

import os
import signal
from pathlib import Path

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.ledger import keys
from jobs.owners import Sender
from jobs.settings import Settings
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.processes import running
from tests.waiting import until
from tests.worker.conftest import MODEL
from tests.worker.scheduling.conftest import ROLLING, SLOTS, Rolling, feeder, numbers, outputs, until_joined
from tests.worker.scheduling.test_isolation import problems
from tests.worker.test_batch_worker import ended, new_job, submit
from worker.leases.leased_job import Batch
from worker.scheduling.window import BatchResult


async def test_an_engine_that_hangs_for_cancelled_jobs_only_is_ended(
    queue: JobQueue, rolling: Rolling
) -> None:
    async with rolling(batch_timeout=3600.0) as worker:
        hanging = await submit(queue, "hang")
        await until_joined(worker, 1)
        await queue.cancel(hanging)
        [job] = await ended(queue, await submit(queue, "after"))
        assert worker.engine.restart_reasons == {"cancelled": 1}
    assert job.status == "succeeded"


async def test_rows_that_had_not_joined_are_no_suspects(
    queue: JobQueue, rolling: Rolling, gate: Gate
) -> None:
    async with rolling() as worker:
        held = [await submit(queue, gate.text) for _ in range(SLOTS)]
        await until_joined(worker, SLOTS)
        waiting = await submit(queue, "waiting")
        await until_joined(worker, SLOTS, sent=SLOTS + 1)
        assert worker.engine.pid is not None
        os.kill(worker.engine.pid, signal.SIGKILL)
        [behind] = await ended(queue, waiting)
        gate.open()
        jobs = await ended(queue, *held)
        assert worker.engine.restarts == 1
        assert worker.statistics.beat.items == SLOTS + 1
    assert [(job.status, job.attempts) for job in (behind, *jobs)] == [("succeeded", 1)] * (SLOTS + 1)


@pytest.mark.parametrize(
    ("texts", "kinds"),
    [
        (["raise", "good", "err"], ["input-failed", "", "input-failed"]),
        (["die output", "good"], ["engine-died", ""]),
        (["die row", "good"], ["engine-died", ""]),
        (["hang", "good"], ["engine-timeout", ""]),
    ],
)
async def test_bad_inputs_fail_alone(
    queue: JobQueue, rolling: Rolling, gate: Gate, texts: list[str], kinds: list[str]
) -> None:
    async with rolling(batch_timeout=5.0 if "hang" in texts else 60.0) as worker:
        held = await submit(queue, gate.text)
        await until_joined(worker, 1)
        bad = await submit(queue, texts)
        others = [await numbers(queue, 4 + i, f"text {i}") for i in range(6)]
        gate.open()
        [job, *jobs] = await ended(queue, bad, held, *others)
        restarts = worker.engine.restarts
    assert problems(job) == kinds
    assert all(one.status == "succeeded" for one in jobs)
    assert [outputs(one)[0]["tokens"] for one in jobs[1:]] == [4, 5, 6, 7, 8, 9]
    assert restarts <= (4 if kinds[0].startswith("engine") else 0), "alone it has two tries"


async def test_rows_that_are_too_many_for_the_memory_run_in_smaller_numbers(
    queue: JobQueue, rolling: Rolling
) -> None:
    job_id = await submit(queue, ["exhaust", "a", "b", "c"], parameters={"tokens": 5})
    async with rolling() as worker:
        [job] = await ended(queue, job_id)
        assert worker.engine.restarts == 0
    assert [output["text"] for output in outputs(job)] == ["exhaust", "a", "b", "c"]


async def test_a_row_that_takes_too_long_fails_alone(queue: JobQueue, rolling: Rolling, gate: Gate) -> None:
    """Its engine computes, and other rows end: it is the row's fault."""
    async with rolling(batch_timeout=5.0) as worker:
        endless = await submit(queue, "until /never")
        [job] = await ended(queue, endless)
        assert worker.engine.restarts == 0
    assert problems(job) == ["engine-timeout"]


async def test_a_retired_model_leaves_no_rows_for_which_its_next_engine_is_ended(
    queue: JobQueue, rolling: Rolling, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a bug")

    async with rolling() as worker:
        held = await submit(queue, gate.text)
        await until_joined(worker, 1)
        before = feeder(worker)
        monkeypatch.setattr(worker._window, "settle", fail)
        await submit(queue, "x")

        async def returned() -> bool:
            return (await queue.read(held)).status == "queued"

        await until(returned)
        assert "a bug" in str(worker.statistics.beat.engine_fault)
        assert not before._joined()
        gate.open()


async def test_a_job_from_a_lost_worker_runs_without_neighbours(
    redis: ArqRedis, queue: JobQueue, rolling: Rolling, gate: Gate
) -> None:
    async with rolling() as worker:
        held = await submit(queue, gate.text)
        await until_joined(worker, 1)
        await redis.set(keys.ATTEMPTS.of("0" * 8), 1, ex=60)
        returned, _ = await queue.submit(new_job(["a", "b"]), job_id="0" * 8)

        async def waits() -> bool:
            return feeder(worker)._empty_first

        await until(waits)
        gate.open()
        _, job = await ended(queue, held, returned.id)
    assert all(output["companions"] <= 2 for output in outputs(job)), "its own inputs"
    assert job.attempts == 2


async def test_a_job_from_a_lost_worker_keeps_its_turn_while_the_engine_empties(
    redis: ArqRedis, queue: JobQueue, rolling: Rolling, gate: Gate
) -> None:
    """It is longer than the other owner's inputs together. If it paid for each try, it would be the last."""
    async with rolling() as worker:
        flood = new_job([gate.text] * (SLOTS + 1) + ["x"] * 20)
        other = (await queue.submit(replace(flood, sender=Sender("flood"))))[0].id
        await until_joined(worker, SLOTS, sent=SLOTS + 1)
        await redis.set(keys.ATTEMPTS.of("0" * 8), 1, ex=60)
        long = replace(new_job("long " * 100), sender=Sender("lone"))
        returned, _ = await queue.submit(long, job_id="0" * 8)

        async def waits() -> bool:
            return len(worker._leases) == 2 and worker._batcher.shared

        await until(waits)
        settled: list[str] = []
        settle = worker._window.settle

        def noting(batch: Batch, result: BatchResult) -> None:
            settled.extend(item.owner for item in batch)
            settle(batch, result)

        worker._window.settle = noting  # type: ignore[method-assign]
        gate.open()
        await ended(queue, other, returned.id)
    assert settled.index("lone") <= SLOTS + 2


async def test_jobs_of_a_killed_worker_run_again_elsewhere(
    queue: JobQueue, rolling: Rolling, gate: Gate, settings: Settings, tmp_path: Path
) -> None:
    models = tmp_path / "models.toml"
    models.write_text(
        f"[models.{MODEL}]\npipeline = '{ROLLING['pipeline']}'\noptions = {{ slots = {SLOTS} }}\n"
    )
    lease = {"lease": 1.0, "renew_every": 0.3}
    process = running("worker", redis_url=settings.redis_url, models_file=models, data_dir=tmp_path, **lease)
    with process as worker:
        ids = [await submit(queue, gate.text) for _ in range(SLOTS + 2)]

        async def run() -> bool:
            return sum([(await queue.read(job_id)).status == "running" for job_id in ids]) >= SLOTS

        await until(run)
        worker.kill()
        worker.wait()
    gate.open()
    async with rolling(**lease):
        jobs = await ended(queue, *ids)
    assert [job.status for job in jobs] == ["succeeded"] * len(ids)
