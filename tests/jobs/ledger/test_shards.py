"""Four shards on one server: listings, limits and depths over all of them; one that does not answer."""

import asyncio
import time
from typing import Any

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import QueueFull, QueueUnavailable, WritesRefused
from jobs.ledger import keys, shards
from jobs.ledger.ids import new_id, shard_of
from jobs.ledger.shard import Shard
from jobs.settings import Settings
from jobs.store.connection import connect
from tests.jobs.ledger.apart import apart
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import JobQueue
from tests.ports import free_port
from tests.waiting import until

NUMBER = 4


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": NUMBER})


async def submitted(queue: JobQueue, *numbers: int) -> list[str]:
    """The ids of new jobs in these shards."""
    return [(await queue.submit(new_job(), job_id=new_id(number)))[0].id for number in numbers]


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 100])
async def test_pages_over_all_shards_have_each_job_once_and_in_order(queue: JobQueue, limit: int) -> None:
    """Of one ms there are jobs in one shard and in several; a page begins behind any shard's job."""
    made = await submitted(queue, *(number % NUMBER for number in range(16)), 2, 2, 2)
    created: dict[str, int] = {}
    for at, job_id in enumerate(made):
        created[job_id] = 1_700_000_000_000 + at // 6  # six jobs of each ms
        await queue.redis.zadd(await queue.beside(keys.RECENT, job_id), {job_id: created[job_id]})
    listed: list[str] = []
    cursor: str | None = None
    while cursor is not None or not listed:
        page, cursor = await queue.recent(limit, cursor)
        listed += [job.id for job in page]
    assert listed == sorted(made, key=lambda job_id: (created[job_id], job_id), reverse=True)
    assert {shard_of(job_id) for job_id in listed[-6:]} == {0, 1, 2, 3}


async def test_a_search_looks_in_all_shards(queue: JobQueue) -> None:
    made = await submitted(queue, 0, 1, 2, 3)
    for job_id in made:
        assert list(await queue.find(job_id[-8:], 5)) == [job_id]


async def test_depths_are_sums(queue: JobQueue) -> None:
    await submitted(queue, 0, 1, 1, 3)
    await queue.claim(MODEL, 1)
    depth = (await queue.depth())[MODEL]
    each = [(await shard.depth())[MODEL] for shard in queue.shards]
    assert (depth.waiting, depth.running, depth.unfinished) == (3, 1, 4)
    assert depth.bytes == sum(one.bytes for one in each) > 0
    again = (await queue.depth())[MODEL]
    assert again.oldest_ms >= max(one.oldest_ms for one in each)


@pytest.mark.parametrize(
    ("limit", "reason", "accepted"),
    [({"max_queued_jobs": 10}, "jobs", 10), ({"max_queued_bytes": 1_000}, "bytes", None)],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_one_process_keeps_the_limits_exactly(
    redis: ArqRedis,
    settings: Settings,
    limit: dict[str, int],
    reason: str,
    accepted: int | None,
    at_once: bool,
) -> None:
    queue = JobQueue(redis, settings.model_copy(update=limit), [MODEL])

    async def submit(number: int) -> str:
        try:
            return (await queue.submit(new_job(), job_id=new_id(number)))[0].id
        except QueueFull as error:
            return "" if error.reason == reason else error.reason

    numbers = [number % NUMBER for number in range(40)]
    if at_once:
        made = await asyncio.gather(*map(submit, numbers))
    else:
        made = [await submit(number) for number in numbers]
    depth = (await queue.depth())[MODEL]
    size = depth.bytes // depth.unfinished
    most = accepted or 1_000 // size
    there = sum(map(bool, made))
    assert there == depth.unfinished <= most
    assert there == most or at_once, "at once, what is being sent counts, even if it is then refused"
    while there < most:
        await submit(0)
        there += 1
    with pytest.raises(QueueFull) as refused:
        await submitted(queue, 3)
    assert (refused.value.depth, (await queue.depth())[MODEL].unfinished) == (most, most)


async def test_a_count_does_not_replace_a_newer_answer(
    redis: ArqRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submit is answered after its shard was counted, but before the count of all shards is complete."""
    queue = JobQueue(redis, settings.model_copy(update={"max_queued_jobs": 5}), [MODEL])
    monkeypatch.setattr("jobs.ledger.admission.COUNT_EVERY", 600.0)
    await submitted(queue, 3)
    each, counted, go_on = queue.shards.each, asyncio.Event(), asyncio.Event()

    async def slow(work: Any) -> Any:
        found = await each(work)
        counted.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(queue.shards, "each", slow)
    count = asyncio.create_task(queue._admission._count(MODEL))
    await counted.wait()
    await submitted(queue, 1, 1, 1, 1)
    go_on.set()
    await count
    with pytest.raises(QueueFull):
        await submitted(queue, 0)


async def test_a_process_counts_what_others_submit(
    redis: ArqRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second; in that time the limits may be exceeded by what the others accept."""
    one, other = (
        JobQueue(redis, settings.model_copy(update={"max_queued_jobs": 6}), [MODEL]) for _ in range(2)
    )
    await submitted(one, 0)
    await submitted(other, 1, 1, 2, 2, 3)
    monkeypatch.setattr("jobs.ledger.admission.COUNT_EVERY", 0.0)
    with pytest.raises(QueueFull):
        await submitted(one, 0)


async def test_a_shard_that_does_not_answer_is_not_waited_for(
    redis: ArqRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not longer than PATIENCE. It is left out, also by submits, until it answers the upkeep."""
    monkeypatch.setattr(shards, "PATIENCE", 3.0)
    monkeypatch.setattr(shards, "HOME", 0.0001)
    async with apart(redis, settings, 2) as (store, proxy):
        queue = JobQueue(store, settings, [MODEL])
        made = await submitted(queue, 0, 1, 2, 3)
        proxy.part()
        began = time.monotonic()
        assert (await queue.depth())[MODEL].waiting == 3
        waited = time.monotonic() - began
        assert waited >= 3.0, "it might have answered"
        assert queue.shards.unavailable() == [2]
        listed, _ = await queue.recent(10)
        assert {job.id for job in listed} == {made[0], made[1], made[3]}
        assert 2 not in {shard_of((await queue.submit(new_job()))[0].id) for _ in range(20)}
        proxy.heal()
        await queue.shards[2].sweep(MODEL)
        assert queue.shards.unavailable() == []
        assert made[2] in {job.id for job in (await queue.recent(100))[0]}


async def test_a_shard_without_memory_answers(queue: JobQueue, redis: ArqRedis) -> None:
    """It is read and claimed from as before; only new jobs are refused, and then go to other shards."""
    [made] = await submitted(queue, 1)
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(WritesRefused):
            await submitted(queue, 1)
        assert queue.shards.unavailable() == []
        assert [job.id for job in (await queue.recent(10))[0]] == [made]
        assert [shard.takes_jobs for shard in queue.shards] == [True, False, True, True]
        assert [job.id for job in (await queue.claim(MODEL, 1))[0]] == [made]
    finally:
        await redis.config_set("maxmemory", 0)


async def test_without_any_shard_there_is_an_error() -> None:
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", shards=NUMBER)
    redis = connect(settings)
    queue = JobQueue(redis, settings, [MODEL])
    with pytest.raises(QueueUnavailable):
        await queue.depth()
    assert queue.shards.unavailable() == [0, 1, 2, 3]
    await redis.aclose(close_connection_pool=True)


async def test_work_that_does_not_end_in_one_shard_is_cancelled(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "PATIENCE", 0.1)
    ended: list[int] = []

    async def work(shard: Shard) -> int:
        try:
            if shard.number == 2:
                await asyncio.Event().wait()
            return shard.number
        finally:
            ended.append(shard.number)

    assert await queue.shards.each(work) == {0: 0, 1: 1, 3: 3}
    assert await queue.shards.each(work) == {0: 0, 1: 1, 3: 3}, "the second time it is left out"
    assert sorted(ended) == [0, 0, 1, 1, 2, 3, 3]


async def test_a_bug_in_one_shards_work_is_raised(queue: JobQueue) -> None:
    async def work(shard: Shard) -> int:
        if shard.number == 2:
            raise ZeroDivisionError
        return shard.number

    with pytest.raises(ZeroDivisionError):
        await queue.shards.each(work)


async def test_each_shard_expires_its_jobs(queue: JobQueue) -> None:
    made = [
        (await queue.submit(replace(new_job(), expires_in=0.001), job_id=new_id(number)))[0].id
        for number in range(NUMBER)
    ]

    async def expired() -> bool:
        await queue.sweep(MODEL)
        return {(await queue.read(job_id)).status for job_id in made} == {"expired"}

    await until(expired)
