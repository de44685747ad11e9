"""Progress of running jobs, with a real worker: seen before the end, taken over by the next worker, final."""

import asyncio
import json
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.claims import Claims
from jobs.ledger.leasing import Progress
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.test_batch_worker import ended, results, submit
from worker.leases import progress
from worker.scheduling import admission


async def entries(queue: JobQueue, job_id: str) -> list[dict[str, Any]]:
    """What is known of a job that has not ended."""
    return [json.loads(each) for each in (await queue.outcomes(job_id, 0)).known or []]


async def test_a_running_jobs_outcomes_are_seen(queue: JobQueue, serving: Serving, gate: Gate) -> None:
    job_id = await submit(queue, ["a", "raise", gate.text])
    async with serving(max_batch_items=1):

        async def known() -> bool:
            return len(await entries(queue, job_id)) == 2

        await until(known)
        job = await queue.read(job_id)
        first, second = await entries(queue, job_id)
        gate.open()
        [done] = await ended(queue, job_id)
    assert (job.status, job.counts.succeeded, job.counts.failed) == ("running", 1, 1)
    assert (first["index"], first["output"]["text"]) == (0, "A")
    assert (second["index"], "this text is bad" in second["error"]["detail"]) == (1, True)
    final: Any = results(done)
    assert [{"index": i, **final[i]} for i in (0, 1)] == [first, second], "what was shown is final"


@pytest.mark.parametrize("batch", [4, 1], ids=["one batch", "several batches"])
async def test_a_short_job_notes_nothing(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(progress, "FIRST_AFTER", 600.0)
    monkeypatch.setattr(progress, "NOTE_EVERY", 0.0)
    noted: list[str] = []
    async with serving(max_batch_items=batch) as worker:
        claims = worker._leases._keepers[0].claims
        note = claims.note

        async def counted(outcomes: list[Progress]) -> set[str]:
            noted.extend(each.id for each in outcomes)
            return await note(outcomes)

        monkeypatch.setattr(claims, "note", counted)
        jobs = [await submit(queue, "one"), await submit(queue, ["a", "b", "c"])]
        await ended(queue, *jobs)
    assert noted == []


async def test_what_another_worker_noted_is_not_run_again(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    """A lost worker had noted two of three outcomes, which differ from those of another run."""
    job_id = await submit(queue, ["a", "b", "c"])
    [lost], _ = await queue.claim(MODEL, 3)
    await queue.start([lost])
    failure = {"type": "urn:batchline:problem:input-failed", "title": "t", "detail": "bad then"}
    shown = [{"index": 2, "output": {"text": "seen"}}, {"index": 0, "error": failure}]
    await queue.note([Progress(lost.id, lost.token, 0, 1, 1, [json.dumps(each).encode() for each in shown])])
    await queue.sweep(MODEL)  # after a quiet the first one gives back nothing
    await redis.zadd(keys.queue_name(MODEL), {job_id: keys.RUNNING + 1})
    await queue.sweep(MODEL)
    async with serving() as worker:
        [job] = await ended(queue, job_id)
        assert worker.statistics.beat.items == 1
    final: Any = results(job)
    assert final[2] == {"output": {"text": "seen"}}
    assert final[0]["error"]["detail"] == "bad then"
    assert final[1]["output"]["text"] == "B"
    assert (job.status, job.counts.failed, job.attempts) == ("succeeded", 1, 2)
    assert list((await queue.outcomes(job_id, 0)).order or []) == [2, 0, 1], "as it was shown"


async def test_progress_that_cannot_be_read_now_delays_no_other_job(
    redis: ArqRedis, queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the job's shard was lost just after the claim. The job runs when its lease has ended."""
    job_id = await submit(queue, ["a", "b"])
    [lost], _ = await queue.claim(MODEL, 3)
    await queue.note([Progress(lost.id, lost.token, 0, 1, 0, [b'{"index":1,"output":"seen"}'])])
    await queue.release(MODEL, [(lost, 0)])
    read, silent = Claims.noted, True

    async def noted(claims: Claims, job_id: str) -> list[bytes]:
        if silent:
            await asyncio.Event().wait()
        return await read(claims, job_id)

    monkeypatch.setattr(Claims, "noted", noted)
    monkeypatch.setattr(admission, "MAX_READ", 0.05)
    async with serving(lease=600.0):
        await ended(queue, await submit(queue, "another"))
        assert (await queue.read(job_id)).status == "running"
        silent = False
        monkeypatch.setattr(admission, "MAX_READ", 60.0)
        await queue.lapse(job_id)
        [job] = await ended(queue, job_id)
    assert results(job)[1] == {"output": "seen"}


async def test_a_worker_that_stops_leaves_what_is_known(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    job_id = await submit(queue, ["a", "b", gate.text, "c"])
    async with serving(max_batch_items=1, shutdown_grace=0.1) as worker:

        async def reached() -> bool:
            return worker.statistics.beat.items == 2

        await until(reached)
    job = await queue.read(job_id)
    assert (job.status, job.counts.succeeded) == ("queued", 2)
    gate.open()
    async with serving() as worker:
        [job] = await ended(queue, job_id)
        assert worker.statistics.beat.items == 2
    final: Any = results(job)
    assert [result["output"]["text"][:1] for result in final] == ["A", "B", "U", "C"]


async def test_a_job_given_up_keeps_what_was_shown(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    job_id = await submit(queue, ["a", "b"])
    [lost], _ = await queue.claim(MODEL, 3)
    await queue.note([Progress(lost.id, lost.token, 0, 1, 0, [b'{"index":1,"output":"seen"}'])])
    await queue.release(MODEL, [(lost, 0)])
    await redis.set(keys.ATTEMPTS.of(job_id), 5, ex=60)
    async with serving():
        [job] = await ended(queue, job_id)
    assert results(job)[1] == {"output": "seen"}
    assert "attempts-exhausted" in str(results(job)[0])
    assert (job.status, job.counts.failed) == ("succeeded", 1)


async def test_what_cannot_be_read_is_run_again(redis: ArqRedis, queue: JobQueue, serving: Serving) -> None:
    job_id = await submit(queue, ["a", "b"])
    await redis.rpush(keys.PROGRESS.of(job_id), "1 0", "{}")  # type: ignore[misc]
    await redis.expire(keys.PROGRESS.of(job_id), 60)
    async with serving(max_batch_items=1):
        [job] = await ended(queue, job_id)
    final: Any = results(job)
    assert [result["output"]["text"] for result in final] == ["A", "B"]
