"""Cancels what an owner has in the queue, after a key was revoked."""

from jobs.errors import InvalidRequest, JobGone, JobNotFound
from jobs.ledger.ledger import Ledger
from jobs.ledger.listing import Filter
from jobs.schema import JobState

PAGE = 100
"""Jobs that are read at once."""

QUEUED = frozenset({JobState.QUEUED})
UNFINISHED = QUEUED | {JobState.RUNNING}


async def cancel_jobs(ledger: Ledger, owner: str) -> int:
    """Cancels the owner's unfinished jobs, as far as they are listed; returns how many were cancelled.

    Queued ones are cancelled first, so that a worker that loses a running one does not begin another of the
    same owner. The listing has the newest BATCHLINE_RECENT_JOBS jobs. Raises QueueUnavailable.
    """
    return await _cancel(ledger, owner, QUEUED) + await _cancel(ledger, owner, UNFINISHED)


async def _cancel(ledger: Ledger, owner: str, states: frozenset[JobState]) -> int:
    cancelled, after = 0, None
    while True:
        try:
            found, after = await ledger.recent(PAGE, after, Filter(states), sees=owner)
        except InvalidRequest:  # newer jobs have taken the places of this page's last one and all behind it
            return cancelled
        for job in found:
            try:
                ended = await ledger.cancel(job.id, 0, sees=owner)
            except (JobGone, JobNotFound):
                continue
            cancelled += ended.status is JobState.CANCELLED
        if after is None:
            return cancelled
