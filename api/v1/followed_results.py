"""The results of a running job as lines: all that are known, then each as it becomes known, for a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing, nullcontext, suppress

from starlette.requests import Request

from api.access.caller import caller_of
from api.edge.memory_budget import OverBudget
from api.problems.problem import Refusal
from api.services import Services
from api.v1.result_lines import as_lines, in_pieces, results
from api.waiting.following import Events, Step, follow
from jobs.errors import JobGone, JobNotFound, LimitExceeded, QueueUnavailable
from jobs.ledger.reading import Outcomes
from jobs.schema import Job, JobState

NO_TEXTS = 10**12
"""A position after all partial answers of a job, which are not followed here."""

WITHOUT_RESULTS = (JobState.CANCELLED, JobState.EXPIRED)

INTERRUPTED = (JobGone, JobNotFound, LimitExceeded, OverBudget, QueueUnavailable, Refusal)
"""What ends the lines early. The client learns why when it requests the rest."""


async def lines(
    shared: Services, found: Outcomes, after: int, wait: float, request: Request
) -> AsyncIterator[bytes]:
    """The lines of a job that had not ended when it was read, as it was `found`, for `wait` seconds.

    They count as a wait of the caller. No more than a slice of Redis' answer, or what large results take in
    the memory budget, is in memory.
    """
    counted = shared.wait_limit.hold(caller_of(request.scope).sender) if wait else nullcontext()
    with suppress(*INTERRUPTED), counted:
        async for part in _lines(shared, found, after, wait, request):
            yield part


async def _lines(
    shared: Services, found: Outcomes, after: int, wait: float, request: Request
) -> AsyncIterator[bytes]:
    deadline = time.monotonic() + wait
    source = Events(shared.ledger, shared.subscriber, shared.large, shared.wait_limit)
    async with aclosing(follow(source, found.job.id, request, None, NO_TEXTS, wait)) as steps:
        while found.known is not None:
            if found.known:
                yield b"".join(as_lines(found.known))
                after += len(found.known)
            elif (left := deadline - time.monotonic()) <= 0 or not await _changes(anext(steps, None), left):
                return
            found = await _read(shared, found.job, after, request)
    if found.job.status not in WITHOUT_RESULTS:
        _, known = await results(shared, found, after)
        async for piece in in_pieces(as_lines(known)):
            yield piece


async def _changes(step: Awaitable[Step | None], seconds: float) -> bool:
    """Whether the job changes within so many seconds."""
    try:
        return await asyncio.wait_for(step, seconds) is not None
    except TimeoutError:
        return False


async def _read(shared: Services, job: Job, after: int, request: Request) -> Outcomes:
    return await shared.ledger.outcomes(job.id, after, sees=caller_of(request.scope).sees)
