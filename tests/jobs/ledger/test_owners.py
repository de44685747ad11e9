"""A job belongs to its owner from submit to the end of its record; another's is as one that never existed."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import IdempotencyMismatch, InvalidRequest, JobGone, JobNotFound
from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.ledger.leasing import Progress
from jobs.owners import Limits, Sender
from jobs.schema import Job, NewJob
from jobs.settings import Settings
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import WATCHER, JobQueue, run_one

OTHERS = ["bob", "alic", "alice2", "", "*"]


def of(owner: str, text: str = "A fine film.", expires_in: float | None = None) -> NewJob:
    return replace(new_job(text, expires_in=expires_in), sender=Sender(owner))


async def like_unknown(queue: JobQueue, job_id: str, sees: str) -> None:
    """Fails unless every answer about the job is that about an id that never existed."""
    calls: list[Callable[[str], Awaitable[object]]] = [
        lambda each: queue.read(each, sees=sees),
        lambda each: queue.read(each, sees=sees, watcher=WATCHER),
        lambda each: queue.outcomes(each, 0, sees=sees),
        lambda each: queue.cancel(each, sees=sees),
        lambda each: queue.reading.stored(each, sees=sees),
        lambda each: queue.reading.first_results(each, 100, sees=sees),
        lambda each: queue.recent(5, each, sees=sees),
    ]
    for call in calls:
        answers = []
        for each in (job_id, new_id()):
            with pytest.raises((JobNotFound, InvalidRequest)) as raised:
                await call(each)
            answers.append((type(raised.value), str(raised.value).replace(each, "ID")))
        assert answers[0] == answers[1]
    assert await queue.find(job_id[-12:], 5, sees=sees) == {}
    assert job_id not in [job.id for job in (await queue.recent(100, sees=sees))[0]]


async def belongs_to_alice(queue: JobQueue, job_id: str, status: str) -> None:
    before = await queue.read(job_id)
    for other in OTHERS:
        await like_unknown(queue, job_id, other)
    assert await queue.read(job_id) == before, "no other caller has changed it"
    assert (before.status, before.owner) == (status, "alice")
    own = await queue.read(job_id, sees="alice")
    assert own == replace(before, owner=msgspec.UNSET), "the owner need not be told"
    assert [job.id for job in (await queue.recent(5, sees="alice"))[0]] == [job_id]
    assert list(await queue.find(job_id[-6:], 5, sees="alice")) == [job_id]
    [[listed], _] = await queue.recent(5)
    assert (listed.id, listed.owner) == (job_id, "alice")


async def test_a_job_that_succeeds(queue: JobQueue) -> None:
    job, _ = await queue.submit(replace(of("alice"), inputs=["a", "b"], count=2))
    assert job.owner is msgspec.UNSET
    await belongs_to_alice(queue, job.id, "queued")
    [claimed], _ = await queue.claim(MODEL, 2)
    await queue.start([claimed])
    await queue.note([Progress(job.id, claimed.token, 0, 1, 0, [b'{"index":0,"output":"secret"}'])])
    await belongs_to_alice(queue, job.id, "running")
    await queue.lapse(job.id)
    await queue.sweep(MODEL)
    await belongs_to_alice(queue, job.id, "queued")
    await run_one(queue, [{"output": "x" * 2_000}] * 2)
    await belongs_to_alice(queue, job.id, "succeeded")


@pytest.mark.parametrize("running", [False, True])
async def test_a_cancelled_job(queue: JobQueue, running: bool) -> None:
    job, _ = await queue.submit(of("alice"))
    if running:
        await queue.claim(MODEL, 1)
    cancelled = await queue.cancel(job.id, sees="alice")
    assert cancelled.owner is msgspec.UNSET
    await belongs_to_alice(queue, job.id, "cancelled")


async def test_an_admin_cancels_any_job(queue: JobQueue) -> None:
    job, _ = await queue.submit(of("alice"))
    assert (await queue.cancel(job.id, sees=None)).owner == "alice"


@pytest.mark.parametrize("why", ["expired", "aborted"])
async def test_a_job_that_the_sweep_ends(queue: JobQueue, redis: ArqRedis, why: str) -> None:
    job, _ = await queue.submit(of("alice", expires_in=60.0))
    if why == "expired":
        await redis.zadd(await queue.beside(keys.DEADLINES, job.id), {job.id: 1})
    else:
        await redis.zadd(await queue.beside(keys.ABORT, job.id), {job.id: 2**45})
    await queue.sweep(MODEL)
    await belongs_to_alice(queue, job.id, "expired" if why == "expired" else "cancelled")


async def test_a_job_of_a_model_that_is_not_served(queue: JobQueue, settings: Settings) -> None:
    job, _ = await queue.submit(of("alice"))
    other = JobQueue(queue.redis, settings, ["another"])
    for sees, words in (("alice", "is kept"), (None, "is kept"), ("bob", "never accepted")):
        with pytest.raises(JobNotFound, match=words):
            await other.read(job.id, sees=sees)


@pytest.mark.parametrize("sees", [None, "alice", *OTHERS])
async def test_only_its_owner_learns_that_a_job_is_gone(
    queue: JobQueue, redis: ArqRedis, sees: str | None
) -> None:
    job, _ = await queue.submit(of("alice"))
    await run_one(queue)
    await redis.delete(await queue.key(keys.RESULT, job.id))
    if sees in (None, "alice"):
        with pytest.raises(JobGone):
            await queue.read(job.id, sees=sees)
        assert await queue.find(job.id[-6:], 5, sees=sees) == {job.id: None}
    else:
        assert sees is not None
        await like_unknown(queue, job.id, sees)


async def test_nobody_watches_anothers_job(queue: JobQueue, redis: ArqRedis) -> None:
    job, _ = await queue.submit(of("alice"))
    watched = await queue.beside(keys.WATCHED, job.id)
    for other in OTHERS:
        with pytest.raises(JobNotFound):
            await queue.read(job.id, sees=other, watcher=WATCHER)
    assert not await redis.exists(watched)
    for sees in ("alice", None):
        await queue.read(job.id, sees=sees, watcher=WATCHER)
        assert await redis.hkeys(watched) == [job.id.encode()]  # type: ignore[misc]
        await redis.delete(watched)


async def test_a_job_without_owner_is_the_admins_and_the_anonymous(queue: JobQueue) -> None:
    mine, _ = await queue.submit(of("alice"))
    job, _ = await queue.submit(new_job())
    for claimed in (False, True):
        if claimed:
            while await run_one(queue):
                pass
        await like_unknown(queue, job.id, "alice")
        for sees in ("", None):
            read = await queue.read(job.id, sees=sees)
            assert (read.id, read.owner) == (job.id, msgspec.UNSET)
        assert [each.id for each in (await queue.recent(9, sees=""))[0]] == [job.id]
        assert {each.id for each in (await queue.recent(9))[0]} == {job.id, mine.id}


async def test_each_owner_pages_through_its_own_jobs(queue: JobQueue) -> None:
    """Also the anonymous one, whose cursor is never the id of another's job."""
    made: dict[str, list[str]] = {"alice": [], "bob": [], "": []}
    for number in range(24):
        owner = list(made)[number % 3]
        made[owner].append((await queue.submit(of(owner)))[0].id)
    for owner, ids in made.items():
        seen: list[str] = []
        cursor: str | None = None
        while cursor is not None or not seen:
            page, cursor = await queue.recent(3, cursor, sees=owner)
            seen += [job.id for job in page]
            assert cursor is None or cursor in ids
        assert set(seen) == set(ids)
        assert len(seen) == len(ids)
        for other in {*made} - {owner}:
            with pytest.raises(InvalidRequest):
                await queue.recent(3, made[other][0], sees=owner)
    assert len((await queue.recent(100))[0]) == 24


async def test_the_anonymous_cursor_is_of_its_own_jobs(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the last jobs that a page examined are another's."""
    monkeypatch.setattr("jobs.ledger.listing.SEARCHED", 4)
    monkeypatch.setattr("jobs.ledger.listing.CHUNK", 2)
    await queue.submit(of("alice"))
    old, _ = await queue.submit(new_job())
    for _ in range(2):
        await queue.submit(of("alice"))
    new, _ = await queue.submit(new_job())
    await queue.submit(of("alice"))
    page, cursor = await queue.recent(3, sees="")
    if len(queue.shards) == 1:
        assert ([job.id for job in page], cursor) == ([new.id], new.id)
        assert [job.id for job in (await queue.recent(3, cursor, sees=""))[0]] == [old.id]
    assert cursor in (None, old.id, new.id)
    for _ in range(4 * len(queue.shards)):
        await queue.submit(of("alice"))
    assert await queue.recent(3, sees="") == ([], None)


async def test_the_list_of_an_owner_is_bounded_and_ends(redis: ArqRedis, settings: Settings) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"recent_jobs": 2, "shards": 1}), [MODEL])
    ids = [(await queue.submit(of("alice")))[0].id for _ in range(4)]
    key = keys.RECENT_OF_OWNER.of("alice")
    assert [each.decode() for each in await redis.zrange(key, 0, -1)] == ids[2:]
    assert 29 * 86_400 < await redis.ttl(key) <= 30 * 86_400
    await queue.submit(new_job())
    assert await redis.keys(keys.RECENT_OF_OWNER.of("*")) == [key.encode()], "none for the anonymous owner"


async def test_anothers_data_under_the_list_of_an_owner_refuses_no_job(
    redis: ArqRedis, settings: Settings
) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"shards": 1}), [MODEL])
    key = keys.RECENT_OF_OWNER.of("alice")
    await redis.set(key, "x", ex=600)
    job, _ = await queue.submit(of("alice"))
    assert (await queue.read(job.id, sees="alice")).id == job.id
    assert await redis.get(key) == b"x"


async def test_idempotency_keys_of_two_owners_do_not_meet(queue: JobQueue) -> None:
    made: dict[str, Job] = {}
    for owner in ("alice", "bob", ""):
        made[owner], replayed = await queue.submit(of(owner), idempotency_key="key")
        assert not replayed
    assert len({job.id for job in made.values()}) == 3
    for owner, job in made.items():
        again, replayed = await queue.submit(of(owner), idempotency_key="key")
        assert (again.id, replayed) == (job.id, True)
        with pytest.raises(IdempotencyMismatch):
            await queue.submit(of(owner, "another"), idempotency_key="key")


async def test_a_replay_does_not_depend_on_the_senders_key_share_or_limits(queue: JobQueue) -> None:
    first, _ = await queue.submit(of("alice"), idempotency_key="key")
    sender = Sender("alice", key="second", weight=3.0, limits=Limits(queued_jobs=5))
    again, replayed = await queue.submit(replace(new_job(), sender=sender), idempotency_key="key")
    assert (again.id, replayed) == (first.id, True)
