"""A model that cannot be loaded is retired: its jobs wait, its reason is reported, it is tried again."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.monitoring.roster import Heartbeat, Roster
from tests.gate import Gate
from tests.ledger import JobQueue, first_shard
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.engine.pipelines import local_hub, tiny
from tests.worker.engine.pipelines.local_hub import Hub
from tests.worker.test_batch_worker import ended, results, submit
from worker.batch_worker import BatchWorker
from worker.leases.leased_job import Batch
from worker.scheduling.window import BatchResult, Window
from worker.supervisor import restarts

FRAGILE = "tests.worker.failing:Fragile"


@pytest.fixture
def needed(tmp_path: Path) -> Path:
    """The file without which the class cannot be built."""
    path = tmp_path / "needed"
    path.touch()
    return path


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(restarts, "FIRST_RETIREMENT", 0.5)


def break_model(needed: Path) -> None:
    needed.unlink()


def repair(needed: Path) -> None:
    needed.touch()


async def until_engine(redis: ArqRedis, state: str) -> Heartbeat:
    """Waits until the only worker's heartbeat reports this engine state."""
    found: list[Heartbeat] = []

    async def reported() -> bool:
        found[:] = [beat for beat in await Roster(first_shard(redis)).read() if beat.engine == state]
        return bool(found)

    await until(reported)
    return found[0]


def kill_engine(worker: BatchWorker) -> None:
    assert worker.engine.pid is not None
    os.kill(worker.engine.pid, signal.SIGKILL)


async def test_a_model_that_breaks_after_it_was_loaded_keeps_its_jobs(
    redis: ArqRedis, queue: JobQueue, serving: Serving, needed: Path, gate: Gate
) -> None:
    fields = {"pipeline": FRAGILE, "parameters": {}, "options": {"needs": str(needed)}}
    async with serving(**fields, max_batch_items=1) as worker:
        await ended(queue, await submit(queue, "first"))
        running, waiting = await submit(queue, gate.text), await submit(queue, "waits")

        async def charged() -> bool:
            return (await queue.read(running)).attempts == 1

        await until(charged)
        break_model(needed)
        kill_engine(worker)
        beat = await until_engine(redis, "retired")
        assert "No such file" in beat.engine_fault
        assert beat.engine_retry > beat.started
        assert (beat.engine_restarts, beat.restart_reasons) == (1, {"crashed": 1})
        later = await submit(queue, "comes later")

        async def given_back() -> bool:  # which follows the fault that the heartbeat reports
            found = [await queue.read(job_id) for job_id in (running, waiting)]
            return all(job.status == "queued" for job in found)

        await until(given_back)
        jobs = [await queue.read(job_id) for job_id in (running, waiting, later)]
        assert [job.status for job in jobs] == ["queued"] * 3
        assert [job.attempts for job in jobs] == [1, 0, 0], "the first may be why the engine died"
        assert [job.position for job in jobs] == [1, 2, 3]

        gate.open()
        repair(needed)
        jobs = await ended(queue, running, waiting, later)
        assert [(job.status, job.attempts) for job in jobs] == list(
            zip(["succeeded"] * 3, [2, 1, 1], strict=True)
        )
        beat = await until_engine(redis, "ready")
        assert (beat.engine_fault, beat.engine_retry) == ("", 0.0)


async def test_a_model_that_cannot_be_loaded_at_the_start_is_retried(
    redis: ArqRedis, queue: JobQueue, serving: Serving, needed: Path
) -> None:
    break_model(needed)
    fields = {"pipeline": FRAGILE, "parameters": {}, "options": {"needs": str(needed)}}
    job_id = await submit(queue, "waits")
    async with serving(**fields) as worker:
        beat = await until_engine(redis, "retired")
        assert "No such file" in beat.engine_fault
        assert (await queue.depth())[MODEL].running == 0
        retry = beat.engine_retry

        async def put_off() -> bool:
            return worker.statistics.beat.engine_retry > retry

        await until(put_off)
        repair(needed)
        [job] = await ended(queue, job_id)
    assert (job.status, job.attempts) == ("succeeded", 1)


async def test_a_model_is_loaded_once_its_hub_is_reachable_again(
    redis: ArqRedis, queue: JobQueue, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.BUILDERS["fill-mask"](tmp_path / "model")
    hub = Hub(None, 503)
    with local_hub.serving(hub):
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
        job_id = await submit(queue, "the [MASK] was closed")
        fields: dict[str, Any] = {"task": "fill-mask", "pipeline": None, "parameters": {}, "device": "cpu"}
        async with serving(**fields, source=local_hub.MODEL, revision=local_hub.COMMIT):
            beat = await until_engine(redis, "retired")
            assert (
                f"{local_hub.MODEL} is not in the cache, and the hub {hub.url} answered 503"
                in beat.engine_fault
            )
            hub.open(tmp_path / "model")
            [job] = await ended(queue, job_id)
    assert job.status == "succeeded"


async def test_an_engine_that_dies_again_and_again_while_idle_retires_its_model(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    killed: set[int] = set()
    async with serving() as worker, asyncio.timeout(300):
        while not worker.statistics.beat.engine_fault:
            pid = worker.engine.pid
            if worker.engine.state == "ready" and pid is not None and pid not in killed:
                killed.add(pid)
                kill_engine(worker)
            await asyncio.sleep(0.01)
        assert "its engine died 5 times in a row" in worker.statistics.beat.engine_fault
        [job] = await ended(queue, await submit(queue, "later"))
    assert job.status == "succeeded"
    assert len(killed) == restarts.MAX_FAILURES


async def test_a_stop_does_not_wait_for_a_retired_model(
    redis: ArqRedis, serving: Serving, needed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "FIRST_RETIREMENT", 3_600.0)
    break_model(needed)
    async with serving(pipeline=FRAGILE, parameters={}, options={"needs": str(needed)}):
        await until_engine(redis, "retired")
    assert await Roster(first_shard(redis)).read() == []


async def test_a_stop_does_not_wait_for_a_restart(
    redis: ArqRedis, serving: Serving, needed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a stop during a restart would count as one that overran its grace, and charge jobs."""
    async with serving(pipeline=FRAGILE, parameters={}, options={"needs": str(needed)}) as worker:
        await until_engine(redis, "ready")
        monkeypatch.setattr(restarts, "FIRST_PAUSE", 3_600.0)
        worker.engine.restart_policy = restarts.RestartPolicy()
        break_model(needed)
        kill_engine(worker)
        await until_engine(redis, "restarting")
    assert not worker._overran


async def test_an_error_of_the_worker_itself_retires_the_model_and_is_charged(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with one model's batches, the process serves others too."""
    settle, faults = Window.settle, []

    def fails_on_one(window: Window, batch: Batch, result: BatchResult) -> None:
        if any(item.job.inputs[item.index] == "odd" for item in batch):
            faults.append(KeyError("odd"))
            raise faults[-1]
        settle(window, batch, result)

    monkeypatch.setattr(Window, "settle", fails_on_one)
    async with serving(max_batch_items=1, max_attempts=2) as worker:
        odd = await submit(queue, "odd")

        async def retired() -> bool:
            return "KeyError: 'odd'" in worker.statistics.beat.engine_fault

        await until(retired)
        [good] = await ended(queue, await submit(queue, "good"))
        [job] = await ended(queue, odd)
    assert (good.status, job.status, len(faults)) == ("succeeded", "failed", 2)
    assert "attempts-exhausted" in str(results(job))
