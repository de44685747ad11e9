"""Claims of jobs of several owners: the owners take turns by their weights, each with its own order."""

from collections import Counter
from typing import Any

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.ledger import keys
from jobs.owners import Sender
from jobs.settings import Settings
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One shard: with several, owners take turns in each of them."""
    return settings.model_copy(update={"shards": 1})


async def sent(queue: JobQueue, owner: str, *, inputs: int = 1, weight: float = 1.0, **how: Any) -> str:
    job = replace(
        new_job(**how), inputs=["x"] * inputs, count=inputs, sender=Sender(owner=owner, weight=weight)
    )
    return (await queue.submit(job))[0].id


async def claimed_owners(queue: JobQueue, inputs: int, **options: Any) -> list[str]:
    claimed, _ = await queue.claim(MODEL, inputs, **options)
    return [job.owner for job in claimed]


async def kept(queue: JobQueue) -> dict[str, int]:
    """What is kept of owners' lines."""
    found = {name: await queue.members(kind) for name, kind in (("turns", keys.TURNS), ("queue", keys.QUEUE))}
    lines = await queue.redis.keys(keys.WAITING.of("*"))
    return found | {"lines": sum([await queue.redis.zcard(line) for line in lines])}


async def test_a_lone_job_waits_for_one_turn_of_a_flood(queue: JobQueue) -> None:
    for _ in range(50):
        await sent(queue, "flood")
    first = await claimed_owners(queue, 5)
    lone = await sent(queue, "lone")
    claimed, left = await queue.claim(MODEL, 1)
    assert first == ["flood"] * 5
    assert ([job.id for job in claimed], left) == ([lone], 45)


async def test_owners_take_turns(queue: JobQueue) -> None:
    for owner in ("a", "b", "c"):
        for _ in range(20):
            await sent(queue, owner)
    found = Counter(await claimed_owners(queue, 30))
    assert found == {"a": 10, "b": 10, "c": 10}


async def test_a_weight_is_a_share(queue: JobQueue) -> None:
    for _ in range(40):
        await sent(queue, "one")
        await sent(queue, "three", weight=3.0)
    found = Counter(await claimed_owners(queue, 40))
    assert 28 <= found["three"] <= 32


async def test_an_owner_of_large_jobs_gets_as_much_work_as_one_of_small_jobs(queue: JobQueue) -> None:
    for _ in range(4):
        await sent(queue, "large", inputs=40)
    for _ in range(200):
        await sent(queue, "small")
    work: Counter[str] = Counter()
    for _ in range(80):
        for job in (await queue.claim(MODEL, 1))[0]:
            work[job.owner] += 40 if job.owner == "large" else 1
    assert 40 <= work["large"] <= 80
    assert 40 <= work["small"] <= 80


async def test_priority_and_age_hold_within_an_owner(queue: JobQueue) -> None:
    normal = [await sent(queue, "a") for _ in range(3)]
    high = await sent(queue, "a", priority="high")
    assert (await queue.read(high)).position == 1
    assert (await queue.read(normal[2])).position == 4
    claimed, _ = await queue.claim(MODEL, 4)
    assert [job.id for job in claimed] == [high, *normal]


async def test_priority_does_not_hold_between_owners(queue: JobQueue) -> None:
    for _ in range(20):
        await sent(queue, "urgent", priority="high")
        await sent(queue, "patient", priority="low")
    assert Counter(await claimed_owners(queue, 20)) == {"urgent": 10, "patient": 10}


async def test_jobs_without_an_owner_take_turns_too(queue: JobQueue) -> None:
    """Their work is estimated from their size."""
    for _ in range(20):
        for owner in ("a", ""):
            await queue.submit(replace(new_job("word " * 100), sender=Sender(owner)))
    assert Counter(await claimed_owners(queue, 20)) == {"a": 10, "": 10}


async def test_an_idle_owner_saves_nothing_up(queue: JobQueue) -> None:
    for owner in ("busy", "idle"):
        await sent(queue, owner)
    await queue.claim(MODEL, 2)
    for _ in range(60):
        await sent(queue, "busy")
    await queue.claim(MODEL, 40)
    for _ in range(20):
        await sent(queue, "idle")
    found = Counter(await claimed_owners(queue, 20))
    assert 9 <= found["idle"] <= 11


async def test_a_claim_may_leave_out_what_an_owner_has_enough_of(queue: JobQueue) -> None:
    for _ in range(5):
        await sent(queue, "a")
        await sent(queue, "")
    held, _ = await queue.claim(MODEL, 4)
    before = {job.owner: job.score for job in held}
    assert (await queue.claim(MODEL, 9, before=before))[0] == []
    absent = await sent(queue, "b")
    urgent = await sent(queue, "a", priority="high")
    claimed, left = await queue.claim(MODEL, 9, before=before)
    assert {job.id for job in claimed} == {absent, urgent}
    assert left == 6


async def test_a_large_job_leaves_room_for_others(queue: JobQueue) -> None:
    """In a claim: it counts with its part of the room only."""
    for owner in ("a", "b", "c"):
        await sent(queue, owner, inputs=1_000)
    assert sorted(await claimed_owners(queue, 32)) == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["finish", "cancel", "expire", "release", "lapse"])
async def test_nothing_is_left_of_a_job(queue: JobQueue, redis: ArqRedis, end: str) -> None:
    job_id = await sent(queue, "a", expires_in=60.0 if end != "expire" else 0.001)
    if end in ("finish", "release", "lapse"):
        [held], _ = await queue.claim(MODEL, 1)
        if end == "release":
            await queue.release(MODEL, [(held, 0)])
        elif end == "lapse":
            await queue.start([held])
            await queue.lapse(job_id)
            assert (await queue.sweep(MODEL))[0] == 1
        if end != "finish":
            depth = (await queue.depth())[MODEL]
            assert (depth.waiting, depth.running, depth.deferred) == (1, 0, 0)
            assert (await queue.read(job_id)).position == 1
            [held], _ = await queue.claim(MODEL, 1)
            assert (held.id, held.owner) == (job_id, "a")
        assert await queue.finish(MODEL, [ending(held)]) == set()
    elif end == "cancel":
        await queue.cancel(job_id)
    else:
        while not (await queue.sweep(MODEL))[1]:
            pass
    await queue.claim(MODEL, 1)
    assert await kept(queue) == {"turns": 0, "queue": 0, "lines": 0}


@pytest.mark.parametrize("lost", ["line", "turn", "both"])
async def test_a_deleted_line_or_turn_loses_no_job(queue: JobQueue, redis: ArqRedis, lost: str) -> None:
    ids = {await sent(queue, "a") for _ in range(3)}
    if lost != "turn":
        await redis.delete(keys.WAITING.of(f"a:{MODEL}"))
    if lost != "line":
        await redis.delete(keys.TURNS.of(MODEL))
    await queue.sweep(MODEL)
    claimed, left = await queue.claim(MODEL, 9)
    assert ({job.id for job in claimed}, left) == (ids, 0)


async def test_waiting_jobs_of_owners_are_counted_and_found(queue: JobQueue) -> None:
    for owner in ("a", "b", ""):
        await sent(queue, owner)
    depth = (await queue.depth())[MODEL]
    assert (depth.waiting, depth.running, depth.deferred) == (3, 0, 0)
    claimed, left = await queue.claim(MODEL, 2)
    assert (len(claimed), left) == (2, 1)
    depth = (await queue.depth())[MODEL]
    assert (depth.waiting, depth.running, depth.deferred) == (1, 2, 0)


async def test_owners_whose_time_has_passed_are_forgotten(queue: JobQueue, redis: ArqRedis) -> None:
    """Else a server whose proxy names the owners would remember all of them."""
    for i in range(30):
        await sent(queue, f"owner{i}")
    assert len(await claimed_owners(queue, 30)) == 30
    for _ in range(40):
        await sent(queue, "busy")
    await queue.claim(MODEL, 20)
    for _ in range(60):
        await queue.sweep(MODEL)
    left = {name.decode() for name in await redis.hkeys(keys.SHARES.of(MODEL))}  # type: ignore[misc]
    assert left == {":now", "busy"}
