"""A worker with continuous batching: inputs with any parameters share steps, and each ends by itself."""

import pytest

from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.scheduling.conftest import SLOTS, Rolling, numbers, outputs, until_joined
from tests.worker.test_batch_worker import ended, submit


async def test_inputs_with_other_parameters_share_steps_and_end_by_themselves(
    queue: JobQueue, rolling: Rolling, gate: Gate
) -> None:
    parts: list[tuple[str, str, int]] = []
    async with rolling() as worker:
        worker._window.on_partial = lambda item, text, tokens: parts.append((item.job.id, text, tokens))
        long = await submit(queue, gate.text)
        await until_joined(worker, 1)
        short = await ended(queue, await numbers(queue, 5, stream=True), await numbers(queue, 7))
        assert not (await queue.read(long)).status.terminal
        gate.open()
        [last] = await ended(queue, long)
        beat = worker.statistics.beat
    assert [outputs(job)[0]["tokens"] for job in short] == [5, 7]
    assert [part[1:] for part in parts if part[0] == short[0].id] == [(f"{i} ", i) for i in range(1, 6)]
    for job in (*short, last):
        assert outputs(job)[0]["companions"] >= 2
        assert job.batch is not None
        assert 1.0 <= job.batch.size <= SLOTS
        assert job.attempts == 1
    assert (beat.items, sum(beat.batch_items)) == (3, beat.batches)
    assert 1 <= beat.batches < 3, "rows of the same steps are one batch"
    computed = sum(job.timings.compute_ms or 0.0 for job in (*short, last))
    assert beat.compute_seconds == pytest.approx(computed / 1000, abs=1e-3)


async def test_a_row_that_ends_frees_its_slot(queue: JobQueue, rolling: Rolling, gate: Gate) -> None:
    """Of a job of more inputs than there are slots, and of one with another limit behind it."""
    many = await submit(queue, [f"text {i}" for i in range(20)])
    async with rolling() as worker:
        held = [await submit(queue, gate.text) for _ in range(SLOTS - 1)]
        [job] = await ended(queue, many)
        [other] = await ended(queue, await numbers(queue, 9))
        gate.open()
        await ended(queue, *held)
        assert worker.statistics.beat.items == 20 + 1 + len(held)
    assert [output["text"] for output in outputs(job)] == [f"text {i}" for i in range(20)]
    assert max(output["companions"] for output in outputs(job)) == SLOTS
    assert outputs(other)[0]["tokens"] == 9


async def test_what_is_urgent_goes_next(queue: JobQueue, rolling: Rolling, gate: Gate) -> None:
    async with rolling() as worker:
        held = [await submit(queue, gate.text) for _ in range(SLOTS)]
        await until_joined(worker, SLOTS)
        # if more of these went first, the urgent one would wait for ever
        endless = await submit(queue, ["until /never"] * 1_000, priority="low")
        await until_joined(worker, SLOTS, sent=SLOTS + 1)
        urgent = await submit(queue, "urgent", priority="high")

        async def claimed() -> bool:
            return len(worker._leases) == SLOTS + 2

        await until(claimed)
        gate.open()
        [job, *_] = await ended(queue, urgent, *held)
        await queue.cancel(endless)
    assert job.status == "succeeded"


async def test_a_cancelled_row_leaves_while_others_continue(
    queue: JobQueue, rolling: Rolling, gate: Gate
) -> None:
    async with rolling(batch_timeout=3600.0) as worker:
        held = [await submit(queue, gate.text) for _ in range(SLOTS - 1)]
        endless = await submit(queue, "until /never")
        await until_joined(worker, SLOTS)
        waiting = await submit(queue, "waiting")
        await queue.cancel(endless)
        [job] = await ended(queue, waiting)
        gate.open()
        jobs = await ended(queue, *held)
        assert worker.engine.restarts == 0
    assert [one.status for one in (job, *jobs)] == ["succeeded"] * (1 + len(held))


async def test_a_stop_ends_running_rows_and_returns_the_others(
    queue: JobQueue, rolling: Rolling, gate: Gate
) -> None:
    async with rolling() as worker:
        held = [await submit(queue, gate.text) for _ in range(SLOTS)]
        await until_joined(worker, SLOTS)
        waiting = [await submit(queue, "waiting") for _ in range(3)]
        await until_joined(worker, SLOTS, sent=SLOTS + 1)
        worker.stop()
        await until_joined(worker, SLOTS, sent=SLOTS)
        gate.open()
    jobs = [await queue.read(job_id) for job_id in (*held, *waiting)]
    assert [(job.status, job.attempts) for job in jobs] == [("succeeded", 1)] * SLOTS + [("queued", 0)] * 3


async def test_an_engine_is_replaced_between_rows(queue: JobQueue, rolling: Rolling) -> None:
    ids = [await numbers(queue, 1 + i % 5) for i in range(20)]
    async with rolling(max_requests=8):
        jobs = await ended(queue, *ids)
    assert [job.status for job in jobs] == ["succeeded"] * 20
