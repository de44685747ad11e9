"""What a claim takes: the most urgent jobs up to a limit, at least one; and one that waits for a submit."""

import asyncio
from functools import partial
from typing import Any

import msgspec
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.claims import Claims
from jobs.settings import Settings
from tests import ledger
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue
from tests.waiting import until


async def test_a_claim_stops_at_its_byte_limit(redis: ArqRedis, settings: Settings) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"window_bytes": 150}), [MODEL])
    for _ in range(4):
        await queue.submit(new_job("x" * 100))
    claimed, left = await queue.claim(MODEL, 10)
    assert (len(claimed), left) == (1, 3)


async def test_a_claim_may_ask_for_what_is_more_urgent(queue: JobQueue) -> None:
    first, _ = await queue.submit(new_job("first"))
    [held], _ = await queue.claim(MODEL, 1)
    await queue.submit(new_job("later"))
    assert (await queue.claim(MODEL, 10, before={"": held.score}))[0] == []
    urgent, _ = await queue.submit(new_job("urgent", priority="high"))
    claimed, left = await queue.claim(MODEL, 10, before={"": held.score})
    assert ([job.id for job in claimed], left) == ([urgent.id], 1)
    assert held.id == first.id


async def test_an_ended_job_that_a_stock_client_aborts_is_not_run_again(
    queue: JobQueue, redis: ArqRedis
) -> None:
    job, _ = await queue.submit(msgspec.structs.replace(new_job(), keep_inputs=True))
    await ledger.run_one(queue)
    await redis.zadd((await queue.shards.of(job.id))[0].key(keys.QUEUE, MODEL), {job.id: 1})
    assert (await queue.claim(MODEL, 1))[0] == []
    assert (await queue.read(job.id)).status == "succeeded"
    assert (await queue.depth())[MODEL].unfinished == 0


async def test_a_claim_takes_at_least_one_job(queue: JobQueue) -> None:
    await queue.submit(new_job())
    claimed, left = await queue.claim(MODEL, 10, size=0)
    assert (len(claimed), left) == (1, 0)


async def test_a_claim_returns_the_score_of_the_next_job(redis: ArqRedis, settings: Settings) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"shards": 1}), [MODEL])
    for priority in ("high", "normal", "low"):
        await queue.submit(new_job(priority=priority))
    [(_, normal)] = await redis.zrange(keys.QUEUE.of(MODEL), 1, 1, withscores=True)
    claims = Claims(queue.shards.first)
    high = await claims.claim(MODEL, 1)
    assert (high.left, high.head) == (2, normal)
    none = await claims.claim(MODEL, 1, before={"": normal})
    assert (none.claimed, none.left, none.head) == ([], 2, normal)
    last = await claims.claim(MODEL, 2)
    assert (len(last.claimed), last.left, last.head) == (2, 0, None)


async def test_a_claim_that_waits_gets_the_job_that_rings(queue: JobQueue, redis: ArqRedis) -> None:
    await redis.script_flush()  # the server does not know the script, as after its restart
    for text in ("first", "second"):
        waiting = asyncio.create_task(queue.claim(MODEL, 10, wait=30.0))
        await until(partial(_blocked, redis, waiting))
        assert not waiting.done(), waiting
        job, _ = await queue.submit(new_job(text))
        claimed, left = await waiting
        assert ([one.id for one in claimed], left) == ([job.id], 0)
        assert await queue.finish(MODEL, [ending(one) for one in claimed]) == set()


async def test_a_claim_that_waits_for_nobody_comes_back_empty(queue: JobQueue) -> None:
    assert await queue.claim(MODEL, 10, wait=0.05) == ([], 0)


async def _blocked(redis: ArqRedis, claim: asyncio.Task[Any]) -> bool:
    """Whether the claim blocks, or has ended too early."""
    return claim.done() or bool((await redis.info("clients"))["blocked_clients"])
