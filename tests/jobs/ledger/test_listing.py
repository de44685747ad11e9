"""The listing remembers ended jobs, but not for longer than they live. A filter looks only so far."""

from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.listing import Filter
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import JobQueue, run_one


async def test_a_job_that_was_listed_is_not_listed_after_its_lifetime(
    queue: JobQueue, redis: ArqRedis
) -> None:
    gone, _ = await queue.submit(new_job("first"))
    await run_one(queue)
    kept, _ = await queue.submit(new_job("second"))
    await run_one(queue)
    assert [job.id for job in (await queue.recent(10))[0]] == [kept.id, gone.id]
    await redis.delete(await queue.key(keys.RESULT, gone.id))
    assert [job.id for job in (await queue.recent(10))[0]] == [kept.id]


POSITIVE: dict[str, Any] = {"output": "x"}
FAILED: dict[str, Any] = {"error": {"type": "t", "title": "t", "detail": "d"}}


async def ended(queue: JobQueue, redis: ArqRedis, *results: dict[str, Any]) -> str:
    """A job with these results, listed before all others."""
    job, _ = await queue.submit(new_job())
    await run_one(queue, list(results))
    listed = await queue.members(keys.RECENT)
    await redis.zadd(await queue.beside(keys.RECENT, job.id), {job.id: listed})
    return job.id


async def pages(queue: JobQueue, limit: int, wanted: Filter) -> list[list[str]]:
    """The ids on each page, from the first to the last."""
    found: list[list[str]] = []
    cursor: str | None = None
    while cursor is not None or not found:
        page, cursor = await queue.recent(limit, cursor, wanted)
        found.append([job.id for job in page])
    return found


async def test_a_filter_allows_states_partly_failed_jobs_and_models(queue: JobQueue, redis: ArqRedis) -> None:
    whole = await ended(queue, redis, POSITIVE, POSITIVE)
    partly = await ended(queue, redis, POSITIVE, FAILED)
    failed = await ended(queue, redis, FAILED, FAILED)

    async def allowed(*states: str, models: frozenset[str] = frozenset()) -> list[str]:
        return [job.id for job in (await queue.recent(10, None, Filter(frozenset(states), models)))[0]]

    assert await allowed("succeeded") == [partly, whole]
    assert await allowed("partial") == [partly]
    assert await allowed("failed", "partial") == [failed, partly]
    assert await allowed("queued") == []
    assert await allowed(models=frozenset({"sentiment"})) == [failed, partly, whole]
    assert await allowed(models=frozenset({"other"})) == []


async def test_the_pages_of_a_filter_have_each_job_once(queue: JobQueue, redis: ArqRedis) -> None:
    made = [await ended(queue, redis, FAILED if i % 3 else POSITIVE) for i in range(10)]
    wanted = [job_id for i, job_id in enumerate(made) if i % 3][::-1]
    assert await pages(queue, 4, Filter(frozenset({"failed"}))) == [wanted[:4], wanted[4:]]
    full = await pages(queue, 2, Filter(frozenset({"failed"})))
    assert full == [wanted[:2], wanted[2:4], wanted[4:], []], (
        "nobody knows that the oldest job is another one"
    )


async def test_a_page_looks_at_a_bounded_number_of_jobs(
    queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be empty and have a next page."""
    monkeypatch.setattr("jobs.ledger.listing.SEARCHED", 3)
    old = await ended(queue, redis, FAILED)
    for _ in range(7):
        await ended(queue, redis, POSITIVE)
    assert await pages(queue, 2, Filter(frozenset({"failed"}))) == [[], [], [old]]


async def test_a_job_is_found_by_the_end_of_its_id(
    queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when Redis answers in several parts."""
    monkeypatch.setattr("jobs.ledger.listing.SCANNED", 2)
    made = [await ended(queue, redis, POSITIVE) for _ in range(200)]
    for job_id in (made[0], made[100], made[-1]):
        assert list(await queue.find(job_id[-7:], 5)) == [job_id]
        assert list(await queue.find(job_id, 5)) == [job_id]
    found = (await queue.find(made[0][-7:], 5))[made[0]]
    assert found is not None
    assert found.status == "succeeded"

    for wrong in ("", "*", "?", "[0-9a-f]", "nowhere", made[0][:8], f"*{made[0][-7:]}"):
        assert await queue.find(wrong, 5) == {}, f"{wrong!r} is the end of no id"


async def test_of_many_jobs_with_the_same_end_the_newest_are_found(queue: JobQueue, redis: ArqRedis) -> None:
    made = [await ended(queue, redis, POSITIVE) for _ in range(60)]
    same = [job_id for job_id in reversed(made) if job_id.endswith(made[0][-1])]
    assert list(await queue.find(made[0][-1], 100)) == same
    assert list(await queue.find(made[0][-1], 1)) == same[:1]


async def test_a_job_whose_lifetime_is_over_is_found_without_its_state(
    queue: JobQueue, redis: ArqRedis
) -> None:
    gone = await ended(queue, redis, POSITIVE)
    await redis.delete(await queue.key(keys.RESULT, gone))
    assert await queue.find(gone[-7:], 5) == {gone: None}
