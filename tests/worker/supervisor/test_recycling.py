"""Engines that leak are replaced, between two batches or when a lone input meets the limit of memory."""

import sys

import pytest

from tests.ledger import JobQueue
from tests.worker.conftest import Serving, poison_spec
from tests.worker.test_batch_worker import ended, results, submit
from worker.scheduling.isolation import MAX_MEMORY_FAILURES
from worker.supervisor.engine import Engine

LEAKY = "tests.worker.failing:Leaky"


async def test_an_input_that_is_too_large_for_a_new_engine_fails(queue: JobQueue, serving: Serving) -> None:
    """Each costs a restart at most, and a job of many costs few."""
    async with serving(pipeline=LEAKY, parameters={}, memory_limit=512) as worker:
        [first] = await ended(queue, await submit(queue, "huge"))
        assert worker.engine.restarts == 0, "a restart would not help"
        [job] = await ended(queue, await submit(queue, ["huge"] * 20))
        assert dict(worker.engine.restart_reasons) == {"memory": MAX_MEMORY_FAILURES}
    assert (first.counts.failed, job.counts.failed) == (1, 20)
    assert "MemoryError" in str(results(job)[19])


@pytest.mark.attack(
    "a class leaks memory",
    held="its engine is replaced, every input gets its output",
    tried="24 inputs",
)
async def test_jobs_of_a_leaking_class_with_a_limit_succeed(queue: JobQueue, serving: Serving) -> None:
    async with serving(pipeline=LEAKY, parameters={}, memory_limit=512, max_batch_items=4) as worker:
        jobs = await ended(queue, *[await submit(queue, f"text {i}") for i in range(24)])
        assert worker.engine.restart_reasons.keys() == {"memory"}
    assert [(job.status, job.attempts) for job in jobs] == [("succeeded", 1)] * 24


@pytest.mark.attack(
    "a class leaks memory",
    held="its engine is replaced, every input gets its output",
    tried="16 inputs",
)
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
        assert worker.statistics.beat.items == 32, "no input was run twice"
    assert [(job.status, job.counts.failed, job.attempts) for job in jobs] == [("succeeded", 0, 1)] * 17


async def test_an_engine_that_is_too_large_when_loaded_says_so() -> None:
    engine = Engine(poison_spec(max_resident=1), None)
    with pytest.raises(Exception, match="max_resident = 1"):
        await engine.start()


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is measured on Linux only")
async def test_memory_that_was_freed_does_not_count_as_resident(queue: JobQueue, serving: Serving) -> None:
    """An engine keeps what it has freed for the next batch, but not if its resident memory is limited."""
    sizes = []
    for bound in ({}, {"max_resident": 1_000}):
        async with serving(pipeline="tests.worker.failing:Wasteful", parameters={}, **bound):
            [job] = await ended(queue, await submit(queue, "x"))
        sizes.append(results(job)[0]["output"])
    kept, limited = sizes
    assert isinstance(kept, int)
    assert isinstance(limited, int)
    assert limited < kept - 150
