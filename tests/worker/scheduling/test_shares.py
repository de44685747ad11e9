"""A worker whose queue is flooded by one owner: others wait for batches, not for its jobs."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from jobs.owners import Sender
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import Serving
from tests.worker.test_batch_worker import ended, new_job
from worker.batch_worker import BatchWorker
from worker.leases.leased_job import Batch
from worker.scheduling.window import BatchResult


async def send(queue: JobQueue, owner: str, inputs: Sequence[str], *, priority: str = "normal") -> str:
    job = replace(new_job(list(inputs)), sender=Sender(owner), priority=priority)
    return (await queue.submit(job))[0].id


def batches_of(worker: BatchWorker, *, beside_claims: bool = True) -> list[list[str]]:
    """The owners in each batch that the worker has run, a list that grows.

    Without `beside_claims`, no batch during all of which one claim waited for Redis: it may be away for long.
    """
    found: list[list[str]] = []
    settle, claim = worker._window.settle, worker.rounds.claim
    claims, waiting, waited = count(1), 0, 0

    async def numbered(*args: Any, **how: Any) -> Any:
        nonlocal waiting
        waiting = next(claims)
        try:
            return await claim(*args, **how)
        finally:
            waiting = 0

    def noting(batch: Batch, result: BatchResult) -> None:
        nonlocal waited
        if beside_claims or not waiting or waiting != waited:
            found.append([item.owner for item in batch])
        waited = waiting
        settle(batch, result)

    worker.rounds.claim = numbered  # type: ignore[method-assign]
    worker._window.settle = noting  # type: ignore[method-assign]
    return found


async def test_a_lone_input_waits_for_a_claim_and_two_batches_of_a_flood(
    queue: JobQueue, serving: Serving, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(max_batch_items=4, window_items=16) as worker:
        for _ in range(40):
            await send(queue, "flood", [gate.text] * 100)

        async def full() -> bool:
            return len(worker._batcher) > 16

        await until(full)
        ran, claims = batches_of(worker), list[tuple[set[str], int]]()
        claim = worker.rounds.claim

        async def noting(*args: Any, **how: Any) -> Any:
            claimed, left = await claim(*args, **how)
            claims.append(({job.owner for job in claimed}, len(ran)))
            return claimed, left

        monkeypatch.setattr(worker.rounds, "claim", noting)
        for priority in ("normal", "low"):
            made = len(claims)
            lone = await send(queue, "lone", ["x"], priority=priority)
            gate.open()
            [job] = await ended(queue, lone)
            assert job.status == "succeeded"
            [first] = [at for at, (owners, _) in enumerate(claims[made:]) if "lone" in owners]
            assert first <= 1, "one claim may have been on its way"
            batch = max(at for at, owners in enumerate(ran) if "lone" in owners)
            before = batch - claims[made + first][1]
            assert before <= 2, "one that runs and one that is prepared"


async def test_owners_of_large_and_small_jobs_have_equal_parts(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    """A batch takes longer than a claim, else the next small jobs would never be there in time."""
    slow = {"seconds": 0.02}
    async with serving(max_batch_items=4, window_items=16, options=slow) as worker:
        first = await send(queue, "large", [gate.text])

        async def busy() -> bool:
            return worker.engine.state == "busy"

        await until(busy)
        for _ in range(4):
            await send(queue, "large", ["x"] * 150)
        small = [await send(queue, "small", ["x"]) for _ in range(150)]
        ran = batches_of(worker, beside_claims=False)
        gate.open()
        await ended(queue, first, *small)
    owners = [owner for batch in ran for owner in batch]
    until_last = owners[: len(owners) - owners[::-1].index("small")]
    large, lone = until_last.count("large"), until_last.count("small")
    assert 100 / 150 <= large / lone <= 225 / 150, f"{large} inputs of large jobs beside {lone} small jobs"


async def test_many_owners_with_large_jobs_are_all_served(
    queue: JobQueue, serving: Serving, gate: Gate
) -> None:
    """None waits for another's job to end, though the window has room for less than one of them."""
    async with serving(max_batch_items=4, window_items=16) as worker:
        first = await send(queue, "first", [gate.text])

        async def busy() -> bool:
            return worker.engine.state == "busy"

        await until(busy)
        jobs = [await send(queue, f"owner{i}", ["x"] * 100) for i in range(20)]
        ran = batches_of(worker)
        gate.open()
        await ended(queue, first, *jobs)
    owners = [owner for batch in ran for owner in batch if owner != "first"]
    half = owners[: len(owners) // 2]
    shares = [half.count(f"owner{i}") for i in range(20)]
    assert sum(shares) ** 2 / (20 * sum(share**2 for share in shares)) > 0.9, shares
