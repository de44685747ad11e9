"""A BatchWorker on a real queue: batches, faults, stops and outages."""

import os
import signal
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.ledger import keys
from jobs.ledger.leasing import Claimed
from jobs.monitoring.roster import Roster
from jobs.schema import Job, NewJob
from jobs.settings import Settings
from tests.gate import Gate
from tests.ledger import JobQueue, first_shard
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving, let_expire
from worker.engine.protocol import Loaded
from worker.leases import keeper
from worker.supervisor.engine import Engine


def new_job(inputs: str | list[str], **fields: object) -> NewJob:
    count = len(inputs) if isinstance(inputs, list) else 1
    request: dict[str, object] = {
        "model": MODEL,
        "inputs": inputs,
        "count": count,
        "parameters": {},
        "priority": "normal",
    }
    return msgspec.convert({**request, "expires_in": None, **fields}, NewJob)


async def submit(queue: JobQueue, inputs: str | list[str], **fields: object) -> str:
    job, _ = await queue.submit(new_job(inputs, **fields))
    return job.id


async def ended(queue: JobQueue, *ids: str) -> list[Job]:
    async def all_terminal() -> bool:
        return all([(await queue.read(job_id)).status.terminal for job_id in ids])

    await until(all_terminal)
    return [await queue.read(job_id) for job_id in ids]


def results(job: Job) -> list[dict[str, object]]:
    assert isinstance(job.results, msgspec.Raw)
    decoded: list[dict[str, object]] = msgspec.json.decode(job.results)
    return decoded


async def test_jobs_that_wait_together_run_together(queue: JobQueue, serving: Serving) -> None:
    ids = [await submit(queue, f"text {i}") for i in range(16)]
    async with serving():
        jobs = await ended(queue, *ids)
    for i, job in enumerate(jobs):
        assert job.status == "succeeded"
        assert results(job) == [{"output": {"text": f"TEXT {i}", "size": 16, "factor": 1.0}}]
        assert job.batch is not None
        assert job.batch.size == 16
        assert job.timings.compute_ms is not None


async def test_a_list_of_inputs_is_one_job_in_several_batches(queue: JobQueue, serving: Serving) -> None:
    job_id = await submit(queue, [f"text {i}" for i in range(40)])
    async with serving():
        [job] = await ended(queue, job_id)
    assert [result["output"]["text"] for result in results(job)] == [f"TEXT {i}" for i in range(40)]  # type: ignore[index]
    assert job.counts.succeeded == 40
    assert job.batch is not None
    assert job.batch.padding is None, "a class of one's own pads as it likes"
    queued, computed, total = job.timings.queued_ms, job.timings.compute_ms, job.timings.total_ms
    assert (queued or 0) + (computed or 0) <= (total or 0) + 1, "forward passes do not overlap"


async def test_parameters_separate_batches(queue: JobQueue, serving: Serving) -> None:
    one = await submit(queue, "a", parameters={"factor": 1.5})
    two = await submit(queue, "a", parameters={"factor": 2.5})
    async with serving():
        jobs = await ended(queue, one, two)
    outputs = [results(job)[0]["output"] for job in jobs]
    assert [output["factor"] for output in outputs] == [1.5, 2.5]  # type: ignore[index]


async def test_one_poison_among_sixteen_jobs(queue: JobQueue, serving: Serving) -> None:
    for poison in ("raise", "die"):
        ids = [await submit(queue, f"text {i}" if i != 5 else poison) for i in range(16)]
        async with serving():
            jobs = await ended(queue, *ids)
        bad = jobs.pop(5)
        assert {job.status for job in jobs} == {"succeeded"}
        assert bad.status == "failed"
        assert bad.counts.failed == 1
        assert "error" in results(bad)[0]


async def test_a_job_with_some_good_inputs_succeeds(queue: JobQueue, serving: Serving) -> None:
    job_id = await submit(queue, ["good", "raise"])
    async with serving() as worker:
        [job] = await ended(queue, job_id)
    assert job.status == "succeeded"
    assert (job.counts.succeeded, job.counts.failed) == (1, 1)
    assert ["output" in result for result in results(job)] == [True, False]
    [listed], _ = await queue.recent(1)
    for seen in (job, listed):
        assert seen.worker == worker.statistics.beat.id
        assert msgspec.to_builtins(seen.first_error) == results(job)[1]["error"]


async def test_stopping_finishes_the_running_batch_and_releases_the_rest(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    ids = [await submit(queue, text) for text in (gate.text, "waits", "waits too")]

    async def first_runs() -> bool:
        return worker.engine.state == "busy"

    async with serving(max_batch_items=1) as worker:
        await until(first_runs)
        worker.stop()
        gate.open()
    jobs = [await queue.read(job_id) for job_id in ids]
    assert [job.status for job in jobs] == ["succeeded", "queued", "queued"]
    assert [job.attempts for job in jobs[1:]] == [0, 0], "unstarted jobs go back uncharged"
    assert [job.position for job in jobs[1:]] == [1, 2]


async def test_a_stop_between_the_batches_of_a_job_takes_its_charge_off(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    """Or as many deploys as a job has attempts would fail one that takes long."""
    job_id = await submit(queue, [gate.text, "not reached"])

    async def first_runs() -> bool:
        return worker.engine.state == "busy" and (await queue.read(job_id)).attempts == 1

    async with serving(max_batch_items=1) as worker:
        await until(first_runs)
        worker.stop()
        gate.open()
    job = await queue.read(job_id)
    assert (job.status, job.attempts) == ("queued", 0)


async def test_a_batch_beyond_the_grace_keeps_its_jobs_charge(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    """It may never end, and must not return forever."""
    job_id = await submit(queue, gate.text)

    async def runs() -> bool:
        return worker.engine.state == "busy" and (await queue.read(job_id)).attempts == 1

    async with serving(shutdown_grace=0.1) as worker:
        await until(runs)
        worker.stop()
    job = await queue.read(job_id)
    assert (job.status, job.attempts) == ("queued", 1)


async def test_an_engine_killed_while_idle_is_restarted_at_once(queue: JobQueue, serving: Serving) -> None:
    async with serving() as worker:

        async def ready() -> bool:
            return worker.engine.state == "ready"

        async def restarted() -> bool:
            return worker.engine.restarts == 1 and await ready()

        await until(ready)
        assert worker.engine.pid is not None
        os.kill(worker.engine.pid, signal.SIGKILL)
        await until(restarted)
        [job] = await ended(queue, await submit(queue, "after"))
    assert job.status == "succeeded"


async def test_only_a_job_that_still_runs_is_charged(
    queue: JobQueue, serving: Serving, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    charged: list[str] = []

    async def start(_: str, claims: Iterable[Claimed]) -> None:
        charged.extend(claim.id for claim in claims)

    async with serving() as worker:
        monkeypatch.setattr(worker._leases._keepers[0].claims, "start", start)
        long = await submit(queue, gate.text)

        async def is_charged() -> bool:
            return long in charged

        await until(is_charged)
        gate.open()
        await ended(queue, long)
        monkeypatch.setattr(keeper, "CHARGE_AFTER", 3600.0)
        charged.clear()
        await ended(queue, await submit(queue, "text"))
    assert charged == []


async def test_a_job_that_is_late_expires_in_the_window(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    slow = await submit(queue, gate.text)
    late = await submit(queue, "late", expires_in=3_600.0)
    async with serving(max_batch_items=1) as worker:
        await let_expire(worker, late)
        gate.open()
        first, second = await ended(queue, slow, late)
    assert (first.status, second.status) == ("succeeded", "expired")
    assert (second.attempts, second.started_at, second.results) == (0, None, None)


async def test_a_cancelled_job_is_dropped_from_the_window(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    slow = await submit(queue, gate.text)
    unwanted = await submit(queue, "unwanted")
    async with serving(max_batch_items=1, renew_every=0.05) as worker:

        async def both_claimed() -> bool:
            return (await queue.depth())[MODEL].running == 2

        async def dropped() -> bool:
            return len(worker._leases) == 1

        await until(both_claimed)
        await queue.cancel(unwanted)
        await until(dropped)
        gate.open()
        await ended(queue, slow)
    assert worker.statistics.beat.items == 1


async def test_a_job_that_was_claimed_too_often_fails(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    job_id = await submit(queue, "kills workers")
    await redis.set(keys.ATTEMPTS.of(job_id), 5, ex=60)
    async with serving():
        [job] = await ended(queue, job_id)
    assert job.status == "failed"
    assert "attempts-exhausted" in str(results(job))


async def test_two_workers_share_a_burst_and_lose_nothing(queue: JobQueue, serving: Serving) -> None:
    ids = [await submit(queue, f"text {i}") for i in range(300)]
    async with serving(), serving():
        jobs = await ended(queue, *ids)
    assert {job.status for job in jobs} == {"succeeded"}
    assert [results(job)[0]["output"]["text"] for job in jobs] == [f"TEXT {i}" for i in range(300)]  # type: ignore[index]


async def test_the_heartbeat_reports_the_workers_jobs(
    redis: ArqRedis, queue: JobQueue, serving: Serving, settings: Settings
) -> None:
    async with serving():
        await ended(queue, *[await submit(queue, f"text {i}") for i in range(4)])

        async def is_counted() -> bool:
            beats = await Roster(first_shard(redis)).read()
            return [(beat.items, beat.jobs) for beat in beats] == [(4, {"succeeded": 4})]

        await until(is_counted)
    assert await Roster(first_shard(redis)).read() == []


@pytest.mark.parametrize(("packs", "cost"), [(True, 21), (False, 40)])
async def test_batches_are_made_as_the_engine_runs_them(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch, packs: bool, cost: int
) -> None:
    start = Engine.start

    async def start_with_packs(engine: Engine) -> Loaded:
        return replace(await start(engine), packs=packs)

    monkeypatch.setattr(Engine, "start", start_with_packs)
    async with serving() as worker:
        await ended(queue, await submit(queue, "a"))
        lengths: Any = [SimpleNamespace(length=20), SimpleNamespace(length=1)]
        assert worker._batcher.cost(lengths) == cost
