"""Files of outputs: written by the holder of the lease only, and kept as long as the record."""

import pytest
from msgspec.structs import replace

from jobs.ledger import keys
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import MODEL, JobQueue, ending, with_files


async def files_of(queue: JobQueue, job_id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = await queue.redis.hgetall(await queue.key(keys.FILES, job_id))  # type: ignore[misc]
    return found


async def test_only_the_holder_of_the_lease_writes_files(queue: JobQueue) -> None:
    """A worker that was considered dead changes no file of the next one, and none of a cancelled job."""
    job, _ = await queue.submit(new_job())
    [lost], _ = await queue.claim(MODEL, 1)
    await queue.lapse(job.id)
    await queue.sweep(MODEL)
    [claimed], _ = await queue.claim(MODEL, 1)
    await queue.redis.set(await queue.key(keys.FILES, job.id), "another program's data", ex=60)
    await queue.store(
        [(claimed, "0-0.png", b"right"), (lost, "0-0.png", b"late"), (lost, "0-1.png", b"late")]
    )
    assert await files_of(queue, job.id) == {b"0-0.png": b"right"}
    assert await queue.redis.ttl(await queue.key(keys.FILES, job.id)) > 80_000
    await queue.cancel(job.id)
    await queue.store([(claimed, "0-0.png", b"late")])
    assert await files_of(queue, job.id) == {}


@pytest.mark.parametrize("kept", [True, False])
async def test_files_live_as_long_as_the_record_or_are_deleted(queue: JobQueue, kept: bool) -> None:
    job, _ = await queue.submit(replace(new_job(), result_ttl=100.0))
    [claimed], _ = await queue.claim(MODEL, 1)
    await queue.store([(claimed, "0-0.png", b"x")])
    await queue.finish(MODEL, [with_files(ending(claimed), kept=kept)])
    left = await queue.redis.pttl(await queue.key(keys.FILES, job.id))
    assert 90_000 < left <= 100_000 if kept else left == -2
