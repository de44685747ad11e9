"""The life of a job in the ledger, transition by transition, on a real server. Reads as a tutorial."""

import asyncio

import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.errors import IdempotencyMismatch, InvalidRequest, JobGone, JobNotFound, QueueFull
from jobs.ledger import keys
from jobs.ledger.ids import created_ms, new_id
from jobs.ledger.leasing import Claimed, Ending
from jobs.ledger.wire import Event, decode_events
from jobs.schema import NewJob
from jobs.settings import Settings
from tests import ledger
from tests.ledger import WATCHER, JobQueue
from tests.waiting import until

MODEL = "sentiment"


def new_job(
    text: str = "A fine film.", *, priority: str = "normal", expires_in: float | None = None
) -> NewJob:
    return msgspec.convert(
        {
            "model": MODEL,
            "inputs": text,
            "count": 1,
            "parameters": {},
            "priority": priority,
            "expires_in": expires_in,
        },
        NewJob,
    )


def ending(claimed: Claimed, output: str = "POSITIVE") -> Ending:
    return ledger.ending(claimed, [{"output": output}])


async def test_a_job_is_submitted_claimed_and_finished(queue: JobQueue) -> None:
    job, replayed = await queue.submit(new_job())
    assert (job.status, job.position, replayed) == ("queued", 1, False)
    assert (await queue.read(job.id)) == job

    [claimed], left = await queue.claim(MODEL, 10)
    assert (claimed.id, claimed.attempts, left) == (job.id, 0, 0)
    running = await queue.read(job.id)
    assert (running.status, running.attempts, running.position) == ("running", 0, None)
    assert (running.started_at, running.timings.queued_ms) == (None, None)
    await queue.start([claimed])
    running = await queue.read(job.id)
    assert running.attempts == 1, "charged when it starts, not when it is claimed"
    assert running.started_at is not None
    assert (await queue.claim(MODEL, 10))[0] == []

    assert await queue.finish(MODEL, [ending(claimed)]) == set()
    done = await queue.read(job.id)
    assert (done.status, done.results) == ("succeeded", msgspec.Raw(b'[{"output":"POSITIVE"}]'))
    assert done.created_at == job.created_at
    assert done.finished_at is not None
    assert done.counts.succeeded == 1
    depth = (await queue.depth())[MODEL]
    assert (depth.waiting, depth.running, depth.bytes) == (0, 0, 0)


async def test_ids_tell_their_age(queue: JobQueue) -> None:
    with pytest.raises(JobNotFound):
        await queue.read(new_id())
    with pytest.raises(JobNotFound):
        await queue.read("no-uuid")
    with pytest.raises(JobGone):
        await queue.read("01890000-0000-7000-8000-000000000000")
    assert created_ms(new_id().upper()) is None


async def test_priority_is_a_head_start_in_time(queue: JobQueue) -> None:
    """With several shards, among jobs that arrived 0.1 s ago or earlier: `JobQueue.claim` looks at all."""
    ids = {}
    for priority in ("low", "normal", "high"):
        ids[priority] = (await queue.submit(new_job(priority=priority)))[0].id
    claimed, _ = await queue.claim(MODEL, 2)
    assert [job.id for job in claimed] == [ids["high"], ids["normal"]]


async def test_a_lease_that_runs_out_gives_the_job_to_another(redis: ArqRedis, settings: Settings) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"lease": 0.2}), [MODEL])
    lost = (await queue.submit(new_job("first")))[0]
    [zombie], _ = await queue.claim(MODEL, 1)
    await queue.start([zombie])
    await queue.submit(new_job("second", priority="high"))

    async def given_back() -> bool:
        return (await queue.sweep(MODEL))[0] == 1

    await until(given_back)
    assert (await queue.read(lost.id)).status == "queued"
    [again], _ = await queue.claim(MODEL, 1)
    assert (again.id, again.attempts) == (lost.id, 1), "it has waited longest, so it comes first"

    assert await queue.finish(MODEL, [ending(zombie, "late")]) == {lost.id}
    assert await queue.renew(MODEL, [zombie]) == ({lost.id}, set())
    assert await queue.finish(MODEL, [ending(again, "right")]) == set()
    assert (await queue.read(lost.id)).results == msgspec.Raw(b'[{"output":"right"}]')


async def test_renewing_puts_the_end_of_a_lease_off(queue: JobQueue, redis: ArqRedis) -> None:
    job, _ = await queue.submit(new_job())
    [claimed], _ = await queue.claim(MODEL, 1)
    key = await queue.beside(keys.QUEUE, job.id)
    first_end = await redis.zscore(key, job.id)

    async def put_off() -> bool:
        assert await queue.renew(MODEL, [claimed]) == (set(), set())
        return bool(await redis.zscore(key, job.id) > first_end)

    await until(put_off)


async def test_a_batch_sent_twice_is_not_refused(queue: JobQueue) -> None:
    await queue.submit(new_job())
    [claimed], _ = await queue.claim(MODEL, 1)
    end = ending(claimed)
    assert await queue.finish(MODEL, [end]) == set()
    assert await queue.finish(MODEL, [end]) == set()
    assert await queue.finish(MODEL, [ending(claimed, "other")]) == {claimed.id}


async def test_released_jobs_keep_their_place_and_are_not_charged(queue: JobQueue) -> None:
    first, _ = await queue.submit(new_job("first", expires_in=60))
    second, _ = await queue.submit(new_job("second"))
    claimed, _ = await queue.claim(MODEL, 10)
    assert await queue.release(MODEL, [(claimed[0], 2**41)]) == 1
    assert (await queue.read(first.id)).position == 1
    [again], _ = await queue.claim(MODEL, 10)
    assert (again.id, again.attempts, again.score) == (first.id, 0, claimed[0].score)
    assert (await queue.read(second.id)).status == "running"


@pytest.mark.parametrize("claim_first", [False, True])
async def test_cancel_ends_a_job_waiting_or_running(queue: JobQueue, claim_first: bool) -> None:
    job, _ = await queue.submit(new_job())
    claimed = (await queue.claim(MODEL, 1))[0] if claim_first else []
    await queue.start(claimed)
    cancelled = await queue.cancel(job.id)
    assert (cancelled.status, cancelled.results, cancelled.counts.total) == ("cancelled", None, 1)
    assert (cancelled.started_at is not None) == claim_first
    assert cancelled.created_at == job.created_at
    assert await queue.cancel(job.id) == cancelled == await queue.read(job.id)
    for late in claimed:
        assert await queue.finish(MODEL, [ending(late)]) == {job.id}
    assert (await queue.claim(MODEL, 1))[0] == []
    assert (await queue.depth())[MODEL].bytes == 0
    with pytest.raises(JobNotFound):
        await queue.cancel(new_id())


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("cancelled", [True, False])
async def test_inputs_outlive_their_job_only_if_asked(
    queue: JobQueue, redis: ArqRedis, kept: bool, cancelled: bool
) -> None:
    new = msgspec.structs.replace(new_job(), keep_inputs=kept, result_ttl=60.0)
    job, _ = await queue.submit(new)
    if cancelled:
        await queue.cancel(job.id)
    else:
        await ledger.run_one(queue)
    assert bool((await queue.inputs(job)).inputs) == kept
    payload, record = await queue.key(keys.JOB, job.id), await queue.key(keys.RESULT, job.id)
    assert bool(await redis.exists(payload)) == kept
    assert not kept or 0 < await redis.pttl(payload) <= 60_000
    assert 0 < await redis.pttl(record) <= 60_000
    assert (await queue.depth())[MODEL].bytes == 0


async def test_an_overdue_job_expires_unless_it_has_started(queue: JobQueue) -> None:
    started, _ = await queue.submit(new_job(expires_in=0.05))
    await queue.claim(MODEL, 1)
    overdue, _ = await queue.submit(new_job(expires_in=0.05))

    async def expired() -> bool:
        return (await queue.sweep(MODEL))[1] == 1

    await until(expired)
    assert (await queue.read(overdue.id)).status == "expired"
    assert (await queue.read(started.id)).status == "running"


async def test_idempotency_returns_the_first_job(queue: JobQueue) -> None:
    first, _ = await queue.submit(new_job(), idempotency_key="key")
    again, replayed = await queue.submit(new_job(), idempotency_key="key")
    assert (again, replayed) == (first, True)
    with pytest.raises(IdempotencyMismatch):
        await queue.submit(new_job("another"), idempotency_key="key")
    assert (await queue.depth())[MODEL].waiting == 1


async def test_fifty_clients_with_one_key_make_one_job(queue: JobQueue) -> None:
    answers = await asyncio.gather(*(queue.submit(new_job(), idempotency_key="k") for _ in range(50)))
    assert len({job.id for job, _ in answers}) == 1
    assert sum(not replayed for _, replayed in answers) == 1


@pytest.mark.parametrize(
    ("limit", "reason"), [({"max_queued_jobs": 3}, "jobs"), ({"max_queued_bytes": 400}, "bytes")]
)
async def test_admission_holds_under_many_submitters(
    redis: ArqRedis, settings: Settings, limit: dict[str, int], reason: str
) -> None:
    queue = JobQueue(redis, settings.model_copy(update=limit), [MODEL])
    answers = await asyncio.gather(
        *(queue.submit(new_job("x" * 40)) for _ in range(50)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, QueueFull)]
    depth = (await queue.depth())[MODEL]
    assert len(refused) + depth.waiting == 50
    assert {error.reason for error in refused} == {reason}
    assert 0 < depth.waiting <= 3
    assert depth.bytes <= 400 or reason == "jobs"


async def test_every_transition_is_published_to_who_watches(queue: JobQueue, redis: ArqRedis) -> None:
    async with redis.pubsub() as subscriber:
        await subscriber.subscribe(f"{keys.EVENTS}:{WATCHER}")
        job, _ = await queue.submit(new_job())
        await queue.read(job.id, watcher=WATCHER)
        [claimed], _ = await queue.claim(MODEL, 1)
        await queue.finish(MODEL, [ending(claimed)])
        seen: list[Event] = []
        while len(seen) < 2:
            message = await subscriber.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is not None:
                seen += [e for e in decode_events(message["data"]) if e.id == job.id]
    assert [event.state for event in seen] == ["running", "succeeded"]
    assert seen[1].record is not None


async def test_the_newest_jobs_are_listed_page_by_page(queue: JobQueue) -> None:
    made = {(await queue.submit(new_job()))[0].id for _ in range(25)}
    seen: list[str] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        page, cursor = await queue.recent(3, cursor)
        seen += [job.id for job in page]
        await queue.submit(new_job())  # what is newer than the first page is not on the next
    assert len(seen) == 25, "jobs of one millisecond are neither skipped nor told twice"
    assert set(seen) == made
    with pytest.raises(InvalidRequest):
        await queue.recent(3, "not a cursor")
