"""The listing remembers ended jobs, but not for longer than they live."""

from arq.connections import ArqRedis

from jobs.ledger import keys
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
    await redis.delete(keys.RESULT.of(gone.id), keys.JOB.of(gone.id))
    assert [job.id for job in (await queue.recent(10))[0]] == [kept.id]
