"""How a BatchWorker claims: behind the doorbell, with room for what it finds, and not once it stops."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueDamaged
from jobs.ledger import keys
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.scheduling.test_feeder import expecting
from tests.worker.test_batch_worker import ended, new_job, submit
from worker.batch_worker import BatchWorker


async def test_a_stop_during_a_batch_releases_the_jobs_of_its_last_claim(
    queue: JobQueue, serving: Serving, gate: Gate, redis: ArqRedis
) -> None:
    async with serving(max_batch_items=1) as worker:
        await submit(queue, gate.text)
        await _runs_and_waits(worker, redis)
        worker.stop()
        late = await submit(queue, "late")

        async def another_gets_it() -> bool:
            return [job.id for job in (await queue.claim(MODEL, 5))[0]] == [late]

        try:
            await until(another_gets_it, 20)  # long before the batch is over, or the grace
        finally:
            gate.open()


async def test_a_claim_that_waited_fills_the_window_as_it_is_then(
    queue: JobQueue, serving: Serving, gate: Gate, redis: ArqRedis
) -> None:
    async with serving(max_batch_items=4, window_items=4) as worker:
        await submit(queue, gate.text)
        await _runs_and_waits(worker, redis)
        three = await submit(queue, ["a", "b", "c"])

        async def in_the_window() -> bool:
            return len(worker._batcher) == 3

        await until(in_the_window)
        await until(lambda: _blocked(redis))
        gate.open()
        await ended(queue, three)
        burst = await _at_once(queue, 4)
        sizes = [job.batch.size for job in await ended(queue, *burst) if job.batch]
        assert sizes == [4] * 4


async def test_after_a_tiny_batch_the_next_jobs_are_claimed_before_it_is_settled(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So Redis leases them meanwhile: with tiny batches the worker and Redis would wait for each other."""
    steps: list[str] = []
    async with serving() as worker:
        await expecting(queue, worker, 0.1)
        for owner, method in ((worker.engine, "send"), (worker.rounds, "claim"), (worker._window, "settle")):
            monkeypatch.setattr(owner, method, _recording(getattr(owner, method), steps))
        await ended(queue, await submit(queue, ["one", "two"]))
    assert "claim" in steps[steps.index("send") : steps.index("settle")]


def _recording(method: Callable[..., Any], steps: list[str]) -> Callable[..., Any]:
    def called(*args: Any, **others: Any) -> Any:
        steps.append(method.__name__)
        return method(*args, **others)

    return called


async def test_a_window_that_was_emptied_during_a_claim_is_filled_again(
    queue: JobQueue, serving: Serving, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job larger than the window, whose last batch ends while the worker asks for what is more urgent."""
    jobs = [await submit(queue, [gate.text] * 24), await submit(queue, "next")]
    async with serving(max_batch_items=8, window_items=4) as worker:
        claim = worker.rounds.claim

        async def late(*args: Any, before: Mapping[str, float] = {}, **others: Any) -> Any:
            answer = await claim(*args, before=before, **others)
            if before:
                gate.open()
                await until(emptied)
            return answer

        async def emptied() -> bool:
            return worker.engine.state == "ready" and not len(worker._batcher)

        monkeypatch.setattr(worker.rounds, "claim", late)
        await ended(queue, *jobs)
    assert gate.path.exists(), "such a claim was made"


async def test_payloads_count_by_their_bytes_too(
    queue: JobQueue, serving: Serving, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(max_batch_items=1, window_bytes=25_000) as worker:
        await expecting(queue, worker, 3_600_000.0)
        jobs = [await submit(queue, gate.text), *[await submit(queue, "x" * 10_000) for _ in range(20)]]
        steps: list[str] = []

        async def full() -> bool:
            return worker._leases.bytes > 25_000

        await until(full)
        monkeypatch.setattr(worker.rounds, "claim", _recording(worker.rounds.claim, steps))

        async def claimed_twice() -> bool:
            return len(steps) >= 2

        await until(claimed_twice)
        assert len(worker._leases) <= 1 + 3, "until a batch is taken, only what is more urgent is claimed"
        gate.open()
        await ended(queue, *jobs)
        await until(lambda: _none_held(worker))
        assert worker._leases.bytes == 0


@pytest.mark.parametrize("lists", [1, 4], ids=["full before the claim", "filled by the claim"])
async def test_what_is_more_urgent_overtakes_the_window_however_long_a_batch_runs(
    queue: JobQueue, serving: Serving, gate: Gate, lists: int
) -> None:
    async with serving(max_batch_items=1, window_items=lists) as worker:
        await expecting(queue, worker, 3_600_000.0)
        slow = await submit(queue, gate.text)
        others = await _at_once(queue, 3, ["text"] * lists)

        async def filled() -> bool:
            return len(worker._batcher) >= lists

        await until(filled)
        first = await submit(queue, "urgent", priority="high")

        async def claimed() -> bool:
            anchor = worker._batcher.anchor()
            return anchor is not None and anchor.job.id == first

        await until(claimed)
        gate.open()
        done = await ended(queue, slow, first, *others)
    finished = [job.finished_at for job in done if job.finished_at]
    assert finished == sorted(finished)


async def test_a_short_batch_that_comes_alone_is_sent_as_such(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as worker:
        sent: list[bool] = []
        send = worker.engine.send

        def noted(*args: Any, alone: bool, **others: Any) -> Any:
            sent.append(alone)
            return send(*args, alone=alone, **others)

        monkeypatch.setattr(worker.engine, "send", noted)

        async def alone() -> bool:
            await ended(queue, await submit(queue, "x"))
            return sent[-1]

        await until(alone)


async def test_a_key_that_is_no_doorbell_is_reported(queue: JobQueue, redis: ArqRedis) -> None:
    await redis.set(keys.DOORBELL.of(MODEL), "not a list")
    with pytest.raises(QueueDamaged, match="doorbell:sentiment holds a string where a list belongs"):
        await queue.claim(MODEL, 1, wait=0.05)
    await redis.delete(keys.DOORBELL.of(MODEL))


async def _at_once(queue: JobQueue, count: int, inputs: str | list[str] = "text") -> list[str]:
    """Submits that share a script, so that one claim finds them all."""
    accepted = await asyncio.gather(*(queue.submit(new_job(inputs)) for _ in range(count)))
    return [job.id for job, _ in accepted]


async def _runs_and_waits(worker: BatchWorker, redis: ArqRedis) -> None:
    """A batch runs, and a claim waits for the doorbell."""

    async def runs() -> bool:
        return len(worker._feeder._sent) == 1

    await until(runs)
    await until(lambda: _blocked(redis))


async def _none_held(worker: BatchWorker) -> bool:
    return not len(worker._leases)


async def _blocked(redis: ArqRedis) -> bool:
    return bool((await redis.info("clients"))["blocked_clients"])
