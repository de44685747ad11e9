"""The counters of unfinished work, of an owner and of a queue, whatever ends a job or harms it."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from jobs.errors import QueueFull
from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.settings import Settings
from tests.jobs.ledger.test_limits import held_by, sent_by
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import JobQueue, ending, run_one


@pytest.fixture(params=[1, 4])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update={"shards": request.param})


Break = Callable[[JobQueue, str], Awaitable[object]]


async def payload_replaced(queue: JobQueue, job_id: str) -> None:
    key = await queue.key(keys.JOB, job_id)
    await queue.redis.delete(key)
    await queue.redis.rpush(key, "foreign")  # type: ignore[misc]


async def payload_deleted(queue: JobQueue, job_id: str) -> None:
    await queue.redis.delete(await queue.key(keys.JOB, job_id))


async def payload_longer(queue: JobQueue, job_id: str) -> None:
    await queue.redis.set(await queue.key(keys.JOB, job_id), b"x" * 10_000)


@pytest.mark.parametrize("harm", [payload_replaced, payload_deleted, payload_longer])
@pytest.mark.parametrize("claimed_first", [False, True])
async def test_an_owners_counters_survive_foreign_data(
    queue: JobQueue, harm: Break, claimed_first: bool
) -> None:
    job, _ = await queue.submit(sent_by(inputs=3))
    kept, _ = await queue.submit(sent_by(inputs=1))
    await queue.cancel(kept.id)
    claimed = (await queue.claim(MODEL, 1))[0] if claimed_first else []
    await harm(queue, job.id)
    if claimed:
        assert await queue.finish(MODEL, [ending(claimed[0])]) == set()
    else:
        await queue.cancel(job.id)
    assert await held_by(queue, "ann") == Counter()
    for key in queue.everywhere(keys.JOB, job.id):
        await queue.redis.delete(key)
    for key in queue.everywhere(keys.OWNED):
        assert not await queue.redis.exists(key)


async def test_the_sweep_counts_back_what_ended_without_its_owner(queue: JobQueue) -> None:
    """As a worker of an older release ends a job, or another program deletes it."""
    job, _ = await queue.submit(sent_by(inputs=3))
    await queue.redis.zrem(await queue.beside(keys.QUEUE, job.id), job.id)
    assert (await held_by(queue, "ann"))["inputs"] == 3
    await queue.sweep(MODEL)
    assert (await held_by(queue, "ann"))["inputs"] == 3, "its payload is there"
    await payload_deleted(queue, job.id)
    await queue.sweep(MODEL)
    assert await held_by(queue, "ann") == Counter()


async def test_the_queue_holds_so_many_inputs(queue: JobQueue, settings: Settings) -> None:
    few = JobQueue(queue.redis, settings.model_copy(update={"max_queued_inputs": 10}), [MODEL])
    await few.submit(replace(new_job(), inputs=["x"] * 8, count=8))
    with pytest.raises(QueueFull, match="inputs of unfinished jobs"):
        await few.submit(replace(new_job(), inputs=["x"] * 3, count=3))
    await few.submit(replace(new_job(), inputs=["x"] * 2, count=2))
    assert (await few.depth())[MODEL].inputs == 10
    assert await run_one(few)
    assert (await few.depth())[MODEL].inputs == 2


async def test_jobs_of_an_older_release_were_never_counted(queue: JobQueue) -> None:
    """The counter is never negative, and right again at the latest when the queue was empty."""
    job, _ = await queue.submit(replace(new_job(), inputs=["x"] * 8, count=8), job_id=new_id())
    [name] = [name for name in queue.everywhere(keys.INPUTS) if await queue.redis.exists(name)]
    await queue.redis.delete(name)
    await queue.cancel(job.id)
    assert (await queue.depth())[MODEL].inputs == 0
    await queue.redis.set(name, 77)  # of jobs that a worker of an older release ended
    await queue.submit(new_job(), job_id=new_id())
    assert (await queue.depth())[MODEL].inputs == 1
