"""What a worker reports of the jobs of named owners: their parts of the batches that they shared."""

import math
from collections.abc import Mapping

from jobs.monitoring.usage import Usage, Used
from jobs.owners import Sender
from jobs.schema import NewJob
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving

OWNERS = ("alice", "bob", "carol")


def job(owner: str, *inputs: str) -> NewJob:
    return NewJob(MODEL, list(inputs), len(inputs), {}, "normal", None, Sender(owner))


async def used(queue: JobQueue) -> Mapping[str, Used]:
    """What each owner used in the last two hours."""
    usage = Usage(queue.shards)
    now, found = await usage.hour(), dict.fromkeys(OWNERS, Used())
    for place, each in (await usage.read(OWNERS, now - 1, now + 1)).items():
        found[place.owner] += each
    return found


async def ended(queue: JobQueue, jobs: int) -> None:
    async def all_of_them() -> bool:
        return sum(each.jobs for each in (await used(queue)).values()) == jobs

    await until(all_of_them)


async def test_the_owners_of_a_batch_share_its_time(queue: JobQueue, serving: Serving) -> None:
    """In proportion to their inputs, and all of it; each job still shows the whole time of its batches."""
    mine, _ = await queue.submit(job("alice", "abc", "def", "ghi"))
    theirs, _ = await queue.submit(job("bob", "jkl"))
    async with serving() as worker:
        await ended(queue, 2)
        assert worker.statistics.beat.batches == 1
        seconds = worker.statistics.beat.compute_seconds
    alice, bob, _ = (await used(queue)).values()
    assert (alice.inputs, bob.inputs) == (3, 1)
    assert math.isclose(alice.compute_seconds, seconds * 3 / 4, abs_tol=1e-6)
    assert math.isclose(bob.compute_seconds, seconds / 4, abs_tol=1e-6)
    jobs = [await queue.read(each.id) for each in (mine, theirs)]
    assert jobs[0].timings.compute_ms == jobs[1].timings.compute_ms


async def test_the_owners_together_used_what_the_engine_computed(queue: JobQueue, serving: Serving) -> None:
    sent = 0
    for turn in range(8):
        for owner in OWNERS:
            await queue.submit(job(owner, *["some words"] * (1 + (sent * 7 + turn) % 40)))
            sent += 1
    async with serving() as worker:
        await ended(queue, sent)
        beat = worker.statistics.beat
    total = sum((await used(queue)).values(), Used())
    assert total.inputs == beat.inputs
    assert math.isclose(total.compute_seconds, beat.compute_seconds, abs_tol=sent * 1e-6)
    assert total.tokens == beat.tokens


async def test_an_input_that_fails_is_charged_to_its_owner(queue: JobQueue, serving: Serving) -> None:
    """But not the batches without a result that it was in: nobody knows whose input was the reason."""
    await queue.submit(job("alice", "fine", "raise"))
    await queue.submit(job("bob", "fine"))
    await queue.submit(job("carol", "raise"))
    async with serving() as worker:
        await ended(queue, 3)
        seconds = worker.statistics.beat.compute_seconds
    found = await used(queue)
    assert [(each.inputs, each.failed_inputs) for each in found.values()] == [(2, 1), (1, 0), (1, 1)]
    assert (found["alice"].succeeded, found["carol"].failed) == (1, 1)
    assert 0 < sum(each.compute_seconds for each in found.values()) < seconds


async def test_what_an_earlier_worker_computed_is_not_forgotten(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    """The next worker runs only the rest, but the owner's account has all of it."""
    await queue.submit(job("alice", "a", "b", gate.text, "c"))
    async with serving(max_batch_items=1, shutdown_grace=0.1) as worker:

        async def reached() -> bool:
            return worker.statistics.beat.items == 2

        await until(reached)
        earlier = worker.statistics.beat.compute_seconds
    gate.open()
    async with serving() as worker:
        await ended(queue, 1)
        seconds = earlier + worker.statistics.beat.compute_seconds
    alice = (await used(queue))["alice"]
    assert alice.inputs == 4
    assert math.isclose(alice.compute_seconds, seconds, abs_tol=2e-6)
