"""Cancels what an owner has in the queue, after a key was revoked."""

from jobs.errors import JobGone, JobNotFound
from jobs.ledger.ledger import Ledger
from jobs.ledger.listing import Filter
from jobs.schema import JobState

PAGE = 100
"""Jobs that are read at once."""


async def cancel_jobs(ledger: Ledger, owner: str) -> int:
    """Cancels the owner's unfinished jobs, as far as they are listed; returns how many were cancelled.

    The listing has the newest BATCHLINE_RECENT_JOBS jobs. Raises QueueUnavailable.
    """
    wanted = Filter(states=frozenset({JobState.QUEUED, JobState.RUNNING}))
    cancelled, after = 0, None
    while True:
        found, after = await ledger.recent(PAGE, after, wanted, sees=owner)
        for job in found:
            try:
                ended = await ledger.cancel(job.id, 0, sees=owner)
            except (JobGone, JobNotFound):
                continue
            cancelled += ended.status is JobState.CANCELLED
        if after is None:
            return cancelled
