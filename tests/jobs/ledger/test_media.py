"""Media beside payloads: part of exactly one accepted job, counted like its payload, and gone with it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import IdempotencyMismatch, JobTooLarge, LimitExceeded, QueueFull, QueueUnavailable
from jobs.ledger import beside, keys, views
from jobs.ledger.ids import new_id
from jobs.ledger.shards import Shards
from jobs.media.values import Stored
from jobs.owners import Limits, Sender
from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.store import Server
from tests.jobs.ledger.test_queue import new_job
from tests.jobs.monitored import monitored
from tests.ledger import MODEL, JobQueue, ending

PNG = b"\x89PNG\r\n\x1a\n"
LARGE = PNG + b"l" * 40_000
OTHER = PNG + b"o" * 50_000
SMALL = PNG + b"s" * 100
BESIDE = len(LARGE) + len(OTHER)


def with_media(*media: bytes, keep: bool = False) -> NewJob:
    return replace(
        new_job(), inputs=list(media), count=len(media), has_media=True, keep_inputs=keep, expires_in=60.0
    )


async def media_keys(redis: ArqRedis) -> list[str]:
    return [key.decode() for kind in (keys.MEDIA, keys.UPLOAD) for key in await redis.keys(kind.pattern)]


async def test_only_large_media_leave_the_payload(queue: JobQueue, redis: ArqRedis) -> None:
    job, _ = await queue.submit(with_media(SMALL, LARGE, OTHER))
    [key] = await media_keys(redis)
    assert key == await queue.key(keys.MEDIA, job.id)
    assert await redis.ttl(key) == -1
    [claimed], _ = await queue.claim(MODEL, 3)
    assert (claimed.media, claimed.size) == (BESIDE, BESIDE + len(claimed.payload))
    assert len(claimed.payload) < 1_000
    inputs: list[Any] = list(views.inputs_of(claimed.payload).inputs)
    assert inputs[0] == SMALL
    assert beside.references(inputs) == inputs[1:]
    shard = await queue.shard(job.id)
    found = (await beside.read(shard, {job.id: beside.references(inputs)}))[job.id]
    assert found == [LARGE, OTHER]
    assert [beside.fault(one, medium) for one, medium in zip(inputs[1:], found, strict=True)] == ["", ""]
    await queue.finish(MODEL, [ending(claimed)])


async def test_many_small_media_leave_it_too(queue: JobQueue, redis: ArqRedis) -> None:
    """So a payload stays small enough to be read whole for its page."""
    one = PNG + b"x" * (beside.INLINE - len(PNG))
    job, _ = await queue.submit(with_media(*[one] * 20))
    payload = await redis.strlen(await queue.key(keys.JOB, job.id))
    assert payload < beside.ALL_INLINE + 20 * 200
    [claimed], _ = await queue.claim(MODEL, 20)
    assert claimed.media == (20 - beside.ALL_INLINE // beside.INLINE) * beside.INLINE
    await queue.cancel(job.id)


async def finished(queue: JobQueue, job_id: str) -> None:
    claimed, _ = await queue.claim(MODEL, 10)
    assert await queue.finish(MODEL, [ending(job) for job in claimed]) == set()
    assert await queue.finish(MODEL, [ending(job) for job in claimed]) == set(), "sent again"


async def cancelled(queue: JobQueue, job_id: str) -> None:
    await queue.cancel(job_id)


async def cancelled_while_it_ran(queue: JobQueue, job_id: str) -> None:
    claimed, _ = await queue.claim(MODEL, 10)
    await queue.start(claimed)
    await queue.cancel(job_id)
    assert job_id in await queue.finish(MODEL, [ending(job) for job in claimed])


async def expired(queue: JobQueue, job_id: str) -> None:
    await queue.redis.zadd(await queue.beside(keys.DEADLINES, job_id), {job_id: 1})
    assert await queue.sweep(MODEL) == (0, 1, 0)


async def aborted(queue: JobQueue, job_id: str) -> None:
    await queue.redis.zadd(await queue.beside(keys.ABORT, job_id), {job_id: 2**45})
    assert await queue.sweep(MODEL) == (0, 0, 1)


async def requeued_and_finished(queue: JobQueue, job_id: str) -> None:
    await queue.claim(MODEL, 10)
    await queue.lapse(job_id)
    assert await queue.sweep(MODEL) == (1, 0, 0)
    await finished(queue, job_id)


async def released_and_cancelled(queue: JobQueue, job_id: str) -> None:
    [claimed], _ = await queue.claim(MODEL, 10)
    await queue.release(MODEL, [(claimed, 0)])
    await queue.cancel(job_id)


every_end = pytest.mark.parametrize(
    "end",
    [
        finished,
        cancelled,
        cancelled_while_it_ran,
        expired,
        aborted,
        requeued_and_finished,
        released_and_cancelled,
    ],
)
End = Callable[[JobQueue, str], Awaitable[None]]


@every_end
@pytest.mark.parametrize("owner", ["", "alice"])
@pytest.mark.parametrize("keep", [False, True])
async def test_media_are_counted_and_end_with_the_payload(
    queue: JobQueue, redis: ArqRedis, end: End, owner: str, keep: bool
) -> None:
    job, _ = await queue.submit(replace(with_media(LARGE, OTHER, keep=keep), sender=Sender(owner)))
    payload, key = await queue.key(keys.JOB, job.id), await queue.key(keys.MEDIA, job.id)
    assert (await queue.depth())[MODEL].bytes == await redis.strlen(payload) + BESIDE
    if owner:
        held = await redis.hget(await queue.beside(keys.OWNER, job.id, owner), "bytes")  # type: ignore[misc]
        assert held is not None
        assert int(held) == await redis.strlen(payload) + BESIDE
    await end(queue, job.id)
    assert (await queue.depth())[MODEL].bytes == 0
    assert not await redis.keys(keys.OWNER.pattern)
    left = await redis.pttl(key)
    assert abs(left - await redis.pttl(payload)) < 30_000
    assert left > 3_000_000 if keep else left == -2, "as long as the record"


async def test_media_fill_the_queue(redis: ArqRedis, settings: Settings) -> None:
    """The limit of bytes counts them, and a refused job leaves none behind."""
    limit = {"max_queued_bytes": 2 * len(LARGE), "shards": 1}
    queue = JobQueue(redis, settings.model_copy(update=limit), [MODEL])
    job, _ = await queue.submit(with_media(LARGE))
    with pytest.raises(QueueFull) as refused:
        await queue.submit(with_media(LARGE))
    assert refused.value.reason == "bytes"
    assert await media_keys(redis) == [keys.MEDIA.of(job.id)]
    await queue.cancel(job.id)
    await queue.submit(with_media(LARGE))
    await finished(queue, "")


@pytest.mark.parametrize(
    ("limits", "error"),
    [(Limits(queued_bytes=BESIDE), LimitExceeded), (Limits(queued_bytes=len(OTHER)), JobTooLarge)],
)
async def test_media_count_for_their_owner(
    queue: JobQueue, redis: ArqRedis, limits: Limits, error: type[Exception]
) -> None:
    sender = Sender("alice", limits=limits)
    if error is LimitExceeded:
        await queue.submit(replace(with_media(LARGE), sender=sender))
    with pytest.raises(error):
        await queue.submit(replace(with_media(OTHER), sender=sender))
    assert len(await media_keys(redis)) == (error is LimitExceeded)
    await finished(queue, "")


async def test_a_claim_stops_at_its_size(queue: JobQueue) -> None:
    for _ in range(3):
        await queue.submit(with_media(LARGE), job_id=new_id())
    claimed, left = await queue.claim(MODEL, 10, size=len(LARGE) + 1_000)
    assert (len(claimed), left) == (2, 1), "the job that brings it over the limit is the last"
    await queue.finish(MODEL, [ending(job) for job in claimed])
    await finished(queue, "")


async def test_a_repeated_request_is_recognised_by_its_media(queue: JobQueue, redis: ArqRedis) -> None:
    job, _ = await queue.submit(with_media(LARGE), idempotency_key="key")
    again, replayed = await queue.submit(with_media(LARGE), idempotency_key="key")
    assert (again.id, replayed) == (job.id, True)
    with pytest.raises(IdempotencyMismatch):
        await queue.submit(with_media(PNG + b"L" + LARGE[9:]), idempotency_key="key")
    key = await queue.key(keys.MEDIA, job.id)
    assert await media_keys(redis) == [key]
    same, _ = await queue.submit(with_media(LARGE), job_id=job.id)
    assert same.id == job.id, "the same id, as a form sends it"
    assert await media_keys(redis) == [key]
    assert await redis.ttl(key) == -1
    await finished(queue, job.id)


async def test_a_submit_whose_media_vanished_is_refused(
    queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = beside.upload

    async def lost(*given: object) -> beside.Upload:
        found = await upload(*given)  # type: ignore[arg-type]
        await redis.delete(*await media_keys(redis))
        return found

    monkeypatch.setattr(beside, "upload", lost)
    with pytest.raises(QueueUnavailable, match="media are gone"):
        await queue.submit(with_media(LARGE), idempotency_key="key")
    assert await media_keys(redis) == []
    depth = (await queue.depth())[MODEL]
    assert (depth.unfinished, depth.bytes, depth.inputs) == (0, 0, 0)
    monkeypatch.undo()
    _, replayed = await queue.submit(with_media(LARGE), idempotency_key="key")
    assert not replayed, "the refused try left nothing"
    await finished(queue, "")


async def test_an_upload_without_a_submit_has_a_lifetime(queue: JobQueue, redis: ArqRedis) -> None:
    await beside.upload(queue.shards.first, [LARGE])
    [key] = await media_keys(redis)
    assert 0 < await redis.pttl(key) <= beside.LIFETIME


async def test_a_job_without_media_gets_no_command_and_no_byte(queue: JobQueue, redis: ArqRedis) -> None:
    for job in (new_job(), with_media(SMALL)):
        async with monitored(redis) as sent:
            accepted, _ = await queue.submit(job)
        commands = {word.upper() for each in sent for word, *_ in each.within}
        assert commands.isdisjoint({"RENAME", "PERSIST", "UNLINK"})
        payload = await redis.get(await queue.key(keys.JOB, accepted.id))
        assert payload is not None
        assert b"\xa5media" not in payload
        [claimed], _ = await queue.claim(MODEL, 1)
        assert claimed.media == 0
        async with monitored(redis) as sent:
            await queue.finish(MODEL, [ending(claimed)])
        touched = [word for each in sent for command in each.within for word in command]
        assert not [word for word in touched if "media" in word or "files" in word]


@pytest.mark.parametrize("payload", [None, b"another program's data"])
async def test_without_a_readable_payload_the_media_go_too(
    queue: JobQueue, redis: ArqRedis, payload: bytes | None
) -> None:
    job, _ = await queue.submit(with_media(LARGE))
    key = await queue.key(keys.JOB, job.id)
    await (redis.delete(key) if payload is None else redis.set(key, payload))
    await redis.zadd(await queue.beside(keys.DEADLINES, job.id), {job.id: 1})
    await queue.sweep(MODEL)
    assert await media_keys(redis) == []


async def test_a_medium_that_is_gone_or_changed_is_noticed(queue: JobQueue, redis: ArqRedis) -> None:
    job, _ = await queue.submit(with_media(LARGE, OTHER))
    references = [Stored(0, len(LARGE), b"x" * 32, b""), Stored(7, 1, b"", b"")]
    shard = await queue.shard(job.id)
    found = (await beside.read(shard, {job.id: references}))[job.id]
    assert found == [LARGE, None]
    assert "digest" in beside.fault(references[0], found[0])
    assert "gone" in beside.fault(references[1], found[1])
    await redis.set(await queue.key(keys.MEDIA, job.id), "another program's data")
    assert (await beside.read(shard, {job.id: references}))[job.id] == [None, None]
    await queue.cancel(job.id)
    assert await media_keys(redis) == []


async def test_media_that_may_not_be_read_are_not_gone(queue: JobQueue, redis: ArqRedis) -> None:
    """So a worker waits, and fails no input, while Redis refuses the command."""
    job, _ = await queue.submit(with_media(LARGE))
    number = (await queue.shard(job.id)).number
    user = "without-hmget"
    await redis.acl_setuser(
        user, enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-hmget"]
    )
    try:
        url = queue.settings.redis_url.replace("://", f"://{user}:any@")
        limited = connect(queue.settings.model_copy(update={"redis_url": url}))
        shards = Shards(Server(limited), queue.settings, [MODEL])
        with pytest.raises(QueueUnavailable):
            await beside.read(shards[number], {job.id: [Stored(0, len(LARGE), b"x" * 32, b"")]})
        await limited.aclose(close_connection_pool=True)
    finally:
        await redis.acl_deluser(user)
