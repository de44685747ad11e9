"""Engines that leak are replaced, between two batches or when a lone input meets the limit of memory."""

import pytest

from jobs.queue import JobQueue
from tests.worker.conftest import Serving, poison_spec
from tests.worker.test_batch_worker import ended, submit
from worker.engine import Engine
from worker.isolation import Isolation
from worker.protocol import Failure

LEAKY = "tests.worker.failing:Leaky"


async def test_a_leak_under_a_memory_limit_fails_no_input() -> None:
    engine = Engine(poison_spec(pipeline=LEAKY, parameters={}, memory_limit=512), None)
    await engine.start()
    try:
        outcomes = [(await Isolation(engine).run(["a"], {}))[0] for _ in range(16)]
    finally:
        await engine.kill()
    assert all(isinstance(outcome, bytes) for outcome in outcomes), outcomes
    assert engine.restart_reasons.keys() == {"memory"}
    assert 2 <= engine.restarts < 16


async def test_an_input_that_is_too_large_for_a_new_engine_costs_no_restart() -> None:
    engine = Engine(poison_spec(pipeline=LEAKY, parameters={}, memory_limit=512), None)
    await engine.start()
    try:
        for _ in range(3):
            [outcome] = await Isolation(engine).run(["huge"], {})
            assert isinstance(outcome, Failure)
            assert (outcome.kind, outcome.detail[:11]) == ("input-failed", "MemoryError")
        assert engine.restarts == 0
    finally:
        await engine.kill()


async def test_jobs_of_a_leaking_class_with_a_limit_succeed(queue: JobQueue, serving: Serving) -> None:
    async with serving(pipeline=LEAKY, parameters={}, memory_limit=512, max_batch_items=4) as worker:
        jobs = await ended(queue, *[await submit(queue, f"text {i}") for i in range(24)])
        assert worker.engine.restart_reasons.keys() == {"memory"}
    assert [(job.status, job.attempts) for job in jobs] == [("succeeded", 1)] * 24


@pytest.mark.parametrize(
    ("bound", "at_least"),
    [({"max_requests": 8}, 3), ({"max_resident": 400}, 2)],
    ids=["requests", "resident"],
)
async def test_an_engine_is_replaced_between_batches(
    queue: JobQueue, serving: Serving, bound: dict[str, int], at_least: int
) -> None:
    large = await submit(queue, [f"text {i}" for i in range(16)])
    small = [await submit(queue, f"text {i}") for i in range(16)]
    async with serving(pipeline=LEAKY, parameters={}, max_batch_items=4, **bound) as worker:
        jobs = await ended(queue, large, *small)
        assert worker.engine.restart_reasons.keys() == set(bound)
        assert worker.engine.restarts >= at_least
        assert worker.vitals.beat.items == 32, "no input was run twice"
    assert [(job.status, job.counts.failed, job.attempts) for job in jobs] == [("succeeded", 0, 1)] * 17


async def test_an_engine_that_is_too_large_when_loaded_says_so(queue: JobQueue) -> None:
    engine = Engine(poison_spec(max_resident=1), None)
    with pytest.raises(Exception, match="max_resident = 1"):
        await engine.start()
