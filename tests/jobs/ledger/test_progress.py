"""Progress of running jobs in the ledger: noted once, by the holder of the lease, freed when the job ends."""

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.ledger import keys
from jobs.ledger.leasing import Claimed, Progress
from jobs.ledger.wire import Event, decode_events
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import WATCHER, JobQueue, ending
from tests.waiting import until

MANY = replace(new_job(), inputs=["a", "b", "c", "d"], count=4)


def entry(index: int, output: str = '"x"') -> bytes:
    return b'{"index":%d,"output":%b}' % (index, output.encode())


def progress(claimed: Claimed, before: int, *outcomes: bytes, failed: int = 0) -> Progress:
    known = before + len(outcomes)
    return Progress(claimed.id, claimed.token, before, known - failed, failed, outcomes)


@pytest.fixture
async def claimed(queue: JobQueue) -> Claimed:
    await queue.submit(MANY)
    [claimed], _ = await queue.claim(MODEL, 4)
    assert claimed.known == 0
    await queue.start([claimed])
    return claimed


async def known(queue: JobQueue, job_id: str, after: int = 0) -> list[bytes]:
    found = await queue.outcomes(job_id, after)
    assert found.known is not None
    return list(found.known)


async def test_what_is_known_can_be_read_before_the_end(queue: JobQueue, claimed: Claimed) -> None:
    assert await queue.note([progress(claimed, 0, entry(2), entry(0))]) == set()
    assert await queue.note([progress(claimed, 2, entry(3), failed=1)]) == set()
    job = await queue.read(claimed.id)
    assert (job.status, job.results) == ("running", None)
    assert (job.counts.total, job.counts.succeeded, job.counts.failed) == (4, 2, 1)
    assert await known(queue, claimed.id) == [entry(2), entry(0), entry(3)], "in the order given"
    assert await known(queue, claimed.id, 2) == [entry(3)]
    assert await known(queue, claimed.id, 7) == []


async def test_a_note_sent_twice_counts_once(queue: JobQueue, claimed: Claimed) -> None:
    for _ in range(2):
        assert await queue.note([progress(claimed, 0, entry(2), entry(0))]) == set()
    assert await known(queue, claimed.id) == [entry(2), entry(0)]


async def test_progress_that_was_deleted_is_asked_for_again(
    queue: JobQueue, redis: ArqRedis, claimed: Claimed
) -> None:
    await queue.note([progress(claimed, 0, entry(2))])
    await redis.delete(await queue.key(keys.PROGRESS, claimed.id))
    assert await queue.note([progress(claimed, 1, entry(0))]) == {claimed.id}
    assert await queue.note([progress(claimed, 0, entry(2), entry(0))]) == set()
    assert await known(queue, claimed.id) == [entry(2), entry(0)]


async def test_a_stale_workers_progress_is_refused(queue: JobQueue, claimed: Claimed) -> None:
    await queue.note([progress(claimed, 0, entry(1))])
    await queue.lapse(claimed.id)
    assert (await queue.sweep(MODEL))[0] == 1
    await queue.note([progress(claimed, 1, entry(3))])  # while the job waits
    [again], _ = await queue.claim(MODEL, 4)
    await queue.note([progress(claimed, 1, entry(3))])  # while another worker has it
    assert await known(queue, claimed.id) == [entry(1)]
    assert (await queue.read(claimed.id)).counts.succeeded == 1
    assert again.known == 1
    assert await queue.noted(again.id) == [entry(1)], "where the next one goes on"
    await queue.note([progress(again, 1, entry(0))])
    assert await known(queue, claimed.id) == [entry(1), entry(0)]


@pytest.mark.parametrize("how", ["finish", "cancel", "abort"])
async def test_progress_is_freed_at_the_end(
    queue: JobQueue, redis: ArqRedis, claimed: Claimed, how: str
) -> None:
    await queue.note([progress(claimed, 0, entry(1))])
    key = await queue.key(keys.PROGRESS, claimed.id)
    assert await redis.ttl(key) > 0
    if how == "finish":
        assert await queue.finish(MODEL, [ending(claimed)]) == set()
    elif how == "cancel":
        await queue.cancel(claimed.id)
    else:
        await redis.zadd(await queue.beside(keys.ABORT, claimed.id), {claimed.id: 2**45})
        await queue.sweep(MODEL)
    assert not await redis.exists(key)
    await queue.note([progress(claimed, 1, entry(2))])
    assert not await redis.exists(key), "a late note brings nothing back"
    found = await queue.outcomes(claimed.id, 0)
    assert found.job.status.terminal
    assert found.known is None


async def test_a_job_given_back_keeps_its_progress(queue: JobQueue, claimed: Claimed) -> None:
    await queue.note([progress(claimed, 0, entry(1))])
    await queue.release(MODEL, [(claimed, 0)])
    job = await queue.read(claimed.id)
    assert (job.status, job.counts.succeeded) == ("queued", 1)
    assert await known(queue, claimed.id) == [entry(1)]
    [again], _ = await queue.claim(MODEL, 4)
    assert again.known == 1


async def test_an_answer_holds_so_many_bytes_at_most(queue: JobQueue, claimed: Claimed) -> None:
    large = [entry(index, '"' + "x" * 600_000 + '"') for index in range(4)]
    await queue.note([progress(claimed, 0, *large)])
    assert await known(queue, claimed.id) == large[:2]
    assert await known(queue, claimed.id, 2) == large[2:]


async def test_the_counts_are_published(queue: JobQueue, redis: ArqRedis, claimed: Claimed) -> None:
    pubsub = redis.pubsub()
    await pubsub.subscribe(f"{keys.EVENTS}:{WATCHER}")
    await queue.read(claimed.id, watcher=WATCHER)
    heard: list[Event] = []

    async def told() -> bool:
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        heard.extend(decode_events(message["data"]) if message else [])
        return bool(heard)

    await pubsub.get_message(timeout=1)
    await queue.note([progress(claimed, 0, entry(1), entry(2), failed=1)])
    await until(told)
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    assert heard == [Event(claimed.id, "running", None, 1, 1)]


async def test_another_programs_data_stops_nobody(queue: JobQueue, redis: ArqRedis, claimed: Claimed) -> None:
    await redis.set(await queue.key(keys.PROGRESS, claimed.id), "foreign", ex=60)
    assert await queue.note([progress(claimed, 0, entry(1))]) == set()
    assert (await queue.read(claimed.id)).counts.succeeded == 0
    await queue.release(MODEL, [(claimed, 0)])
    [again], _ = await queue.claim(MODEL, 4)
    assert again.known == 0
    assert await queue.finish(MODEL, [ending(again)]) == set()
