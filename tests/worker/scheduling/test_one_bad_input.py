"""Promise 4 through a worker: one bad input fails alone, and its neighbours have their answers."""

import pytest

from tests.ledger import JobQueue
from tests.worker.conftest import Serving, end_hangs_early
from tests.worker.scheduling.test_isolation import problems
from tests.worker.test_batch_worker import ended, results, submit
from worker.scheduling.isolation import MAX_KILLS


@pytest.mark.parametrize(
    ("poison", "kind", "restarts"),
    [
        ("raise", "input-failed", 0),
        ("nan", "output-not-encodable", 0),
        ("object", "output-not-encodable", 0),
        ("exhaust", "input-failed", 1),
        ("die", "engine-died", 1 + MAX_KILLS),
        ("hang", "engine-timeout", 1 + MAX_KILLS),
    ],
)
async def test_one_bad_input_fails_alone(
    queue: JobQueue, serving: Serving, poison: str, kind: str, restarts: int
) -> None:
    inputs = [f"text {i}" for i in range(16)]
    inputs[11] = poison
    async with serving(memory_limit=512) as worker:
        end_hangs_early(worker.engine)
        [job] = await ended(queue, await submit(queue, inputs))
        assert worker.engine.restarts == restarts
        assert worker.statistics.beat.items == 16, "each is counted once"
    assert problems(job) == [kind if i == 11 else "" for i in range(16)]


async def test_a_single_poison_kills_two_engines_and_no_more(queue: JobQueue, serving: Serving) -> None:
    async with serving() as worker:
        [job] = await ended(queue, await submit(queue, "die"))
        assert worker.engine.restarts == MAX_KILLS
    assert "2 times" in str(results(job)[0])


async def test_two_bad_inputs_do_not_end_their_job(queue: JobQueue, serving: Serving) -> None:
    inputs = [f"text {i}" for i in range(40)]
    inputs[3] = inputs[31] = "die"
    async with serving() as worker:
        [job] = await ended(queue, await submit(queue, inputs))
        assert worker.engine.restarts <= 2 * (1 + MAX_KILLS)
    assert [i for i, kind in enumerate(problems(job)) if kind] == [3, 31]
    assert set(problems(job)) == {"", "engine-died"}


async def test_the_other_members_of_a_large_batch_are_answered(queue: JobQueue, serving: Serving) -> None:
    texts = [f"text {i}" for i in range(64)]
    texts[40] = "die"
    async with serving(max_batch_items=64) as worker:
        jobs = await ended(queue, *[await submit(queue, text) for text in texts])
        assert worker.engine.restarts <= 1 + MAX_KILLS
    assert sum(job.status == "succeeded" for job in jobs) == 63
    assert jobs[40].status == "failed"
    assert {job.attempts for job in jobs} == {1}
