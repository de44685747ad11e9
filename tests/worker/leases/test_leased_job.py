"""LeasedJob: what it makes of a claim."""

import pytest

from tests.jobs.ledger.test_queue import new_job
from tests.ledger import JobQueue
from tests.worker.conftest import MODEL, poison_spec
from worker.leases.leased_job import LeasedJob, parse


@pytest.mark.parametrize("started_before", [False, True])
async def test_a_deadline_is_for_the_first_start(queue: JobQueue, started_before: bool) -> None:
    """A job that began in time, and whose worker was lost then, is not late."""
    await queue.submit(new_job("text", expires_in=1.0))
    claimed, _ = await queue.claim(MODEL, 1)
    if started_before:
        await queue.start(claimed)
        await queue.release(MODEL, [(claimed[0], 0)], uncharged=False)
        claimed, _ = await queue.claim(MODEL, 1)
    job = parse(claimed[0], poison_spec(), 1_000)
    assert isinstance(job, LeasedJob)
    assert (job.start_by > 0) is not started_before
