"""What a job's page says about a job that is not done: why it cannot be run now, and who runs it."""

from typing import NamedTuple

from api.health.condition import UNREACHABLE, lost
from api.health.reasons import Reason
from api.health.redis_timeout import redis_timeout
from api.pages.model_status import fault
from api.services import Services
from jobs.errors import QueueUnavailable
from jobs.ledger import leasing
from jobs.schema import Job, JobState


class Status(NamedTuple):
    """`reason`: why the job cannot be run now, if so. `worker`: its id, if the worker of the job is known."""

    reason: Reason | None
    worker: str | None


async def status(shared: Services, job: Job, sees: str | None) -> Status:
    """The status of a job that was just read for a caller who `sees` the jobs of that owner, None for all."""
    if job.status.terminal:
        return Status(None, job.worker)
    reason = await fault(shared, job.model, sees)
    if job.status is not JobState.RUNNING or reason == UNREACHABLE.reasons[0]:
        return Status(reason, None)
    try:
        async with redis_timeout():
            lease = await shared.ledger.lease(job)
            beats = await shared.roster.workers()
    except QueueUnavailable:
        return Status(UNREACHABLE.reasons[0], None)
    if lease is None:
        return Status(reason, None)
    worker = next((beat.id for beat in beats if leasing.holder(beat.id) == lease.holder), None)
    return Status(reason or (lost(shared.settings) if lease.late else None), worker)
