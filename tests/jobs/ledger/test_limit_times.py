"""The times and numbers that limits keep: a clock that was set back, changed limits, foreign numbers."""

import pytest

from jobs.ledger import keys
from tests.jobs.ledger.test_limits import refused, sent_by
from tests.ledger import JobQueue


@pytest.mark.parametrize("ahead", [3_600_000, 10**14])
async def test_a_clock_that_was_set_back_costs_one_burst_at_most(queue: JobQueue, ahead: int) -> None:
    limited = sent_by(inputs=5, inputs_per_minute=10, requests_per_second=1)
    await queue.submit(limited)
    [key] = await queue.redis.keys("batchline:rates:*")
    now = await queue.redis.time()
    future = now[0] * 1000 + ahead
    await queue.redis.hset(key, mapping={"requests": future, "inputs": future})  # type: ignore[misc]
    error = await refused(queue, limited)
    assert error.retry_after <= 31


async def test_a_raised_limit_holds_at_once(queue: JobQueue) -> None:
    await queue.submit(sent_by(requests_per_second=0.001))
    error = await refused(queue, sent_by(requests_per_second=1000))
    assert error.retry_after == 1


@pytest.mark.parametrize("number", ["inf", "nan", "1e300", "-5", "a text"])
async def test_foreign_numbers_lose_no_job(queue: JobQueue, number: str) -> None:
    await queue.submit(sent_by(inputs_per_minute=50, queued_jobs=10))
    [key] = await queue.redis.keys("batchline:rates:*")
    [owner] = await queue.redis.keys(keys.OWNER.of("*ann"))
    await queue.redis.hset(key, mapping={"requests": number, "inputs": number, "tokens": number})  # type: ignore[misc]
    await queue.redis.hset(owner, mapping={"jobs": number, "inputs": number, "bytes": number})  # type: ignore[misc]
    job, _ = await queue.submit(sent_by(inputs_per_minute=50, queued_jobs=10))
    assert job.status == "queued"
    assert 0 < await queue.redis.pttl(key) <= 60_000
