"""Follows one job: its states, its progress and its partial answers, as an async iterator for any dialect.

The states and progress come from messages and reads of the job. Partial answers (`jobs/ledger/partials.py`)
come in messages too; if some were missed, they are read from Redis, from the follower's position on.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import NamedTuple

import msgspec
from starlette.requests import Request

from api.access.caller import caller_of, readmit
from api.edge.memory_budget import OverBudget
from api.waiting.large_results import HeldResults, LargeResults
from api.waiting.subscriber import Notice, Subscriber
from api.waiting.wait_limit import WaitLimit
from jobs.errors import JobGone, JobNotFound, QueueUnavailable
from jobs.ledger import ownership, partials, views
from jobs.ledger.following import Followed
from jobs.ledger.ledger import Ledger
from jobs.ledger.partials import Line
from jobs.ledger.wire import Event
from jobs.schema import TRANSITIONS, Job, JobState

READ_RETRY_SECONDS = 0.5
"""Seconds between attempts to read a job while Redis cannot be reached."""


class Events(NamedTuple):
    """The services that a follower reads from."""

    ledger: Ledger
    subscriber: Subscriber
    large: LargeResults
    limit: WaitLimit


class Quiet(NamedTuple):
    """Nothing has happened for a while."""


class Change(NamedTuple):
    """The job as it is now."""

    job: Job
    held: HeldResults | None
    """Its results, if they are too large to be in `job`."""


Step = Quiet | Change | Line


def event_id(job: Job) -> str:
    """Returns what changes with the job's state and progress."""
    done = job.counts.succeeded + job.counts.failed
    progress = f".{done}" if done and not job.status.terminal else ""
    return f"{job.status}.{job.attempts}{progress}"


async def follow(
    source: Events, job_id: str, request: Request, known_id: str | None, position: int, keep_alive: float
) -> AsyncGenerator[Step]:
    """Yields each change of the job, and its partial answers after the position, until it has ended.

    `known_id` is the `event_id` of the state that the client knows; this state is not reported again. Of a
    job that has already ended only the end is reported, after the partial answers that follow the position
    if that is not 0 and they are still kept. Yields Quiet after `keep_alive` seconds without an event. Ends
    early at a stop of the server, or when the job's lifetime is over. Raises Refusal if the caller is no
    longer admitted. The caller's right to see the job must have been checked.
    """
    answers = _PartialAnswers(source.ledger, job_id, position)
    with source.subscriber.watching(job_id) as watch:
        watch.notify(Notice.MISSED)  # the job has not been read since the watch began
        job: Job | None = None
        while job is None or not job.status.terminal:
            update = await watch.next(keep_alive)
            if update is Notice.RELEASED:
                return
            if update is None:
                yield Quiet()
                update = Notice.MISSED  # renews the registration, and makes up for a lost event
            try:
                if isinstance(update, Event) and update.position is not None and job is not None:
                    async for line in answers.appended(update.position, update.partials):
                        yield line
                    continue
                found, length = await _updated(update, job, source, job_id, request)
                if found.status.terminal and (
                    answers.behind or (answers.position and not isinstance(update, Event))
                ):
                    async for line in answers.missed():
                        yield line
                new = event_id(found) != known_id
                held = await source.large.of(found) if new and found.results is msgspec.UNSET else None
                job = found
                if new:
                    known_id = event_id(job)
                    yield Change(job, held)
                if not job.status.terminal and (length is None or length > answers.position):
                    async for line in answers.missed():
                        yield line
            except (QueueUnavailable, OverBudget):
                asyncio.get_running_loop().call_later(READ_RETRY_SECONDS, watch.notify, Notice.MISSED)
            except (JobGone, JobNotFound):  # the job's lifetime ended without an event
                return


class _PartialAnswers:
    """A job's partial answers after a position, in order."""

    def __init__(self, ledger: Ledger, job_id: str, position: int) -> None:
        self.position = position
        """Up to here they are known."""
        self.behind = False
        """Whether a read of later ones failed."""
        self._ledger = ledger
        self._job_id = job_id

    async def appended(self, start: int, data: bytes | None) -> AsyncIterator[Line]:
        """Yields new ones after a message with those from `start` on; `data` is None if it has none of them.

        Raises QueueUnavailable.
        """
        if data is None or start > self.position:
            async for line in self.missed():
                yield line
        elif start + len(data) > self.position:
            for line in self._lines(data[self.position - start :]):
                yield line

    async def missed(self) -> AsyncIterator[Line]:
        """Yields those in Redis. Raises QueueUnavailable."""
        self.behind = True
        while found := await self._ledger.following.partials(self._job_id, self.position):
            start = self.position
            for line in self._lines(found):
                yield line
            if self.position == start and len(found) < partials.SLICE:
                break
        self.behind = False

    def _lines(self, data: bytes) -> Iterator[Line]:
        start, complete = self.position, data.rfind(b"\n") + 1
        for line in partials.lines(data, start):
            self.position = line.position
            yield line
        # the rest is another program's data: no lines of ours, or as long as none is
        self.position = start + (complete or (len(data) if len(data) == partials.SLICE else 0))


async def _updated(
    update: Event | Notice, known: Job | None, source: Events, job_id: str, request: Request
) -> Followed:
    """The job after the event or notice: made from the event alone if possible, else read from Redis.

    The length of its partial answers is 0 if no look at them is needed.
    """
    if isinstance(update, Event) and update.record is not None:
        ended = ownership.shown(views.terminal(job_id, update.record), caller_of(request.scope).sees)
        if ended is not None:
            return Followed(ended, 0)
    if known is not None and isinstance(update, Event) and known.started_at and update.succeeded is not None:
        return Followed(views.progressed(known, update), 0)
    await readmit(request.scope)
    sees = caller_of(request.scope).sees
    read = await source.ledger.following.job(job_id, source.subscriber.process, sees=sees)
    if known is None or not isinstance(update, Event) or read.job.status == update.state:
        return read
    state = JobState(update.state)
    if state.terminal or state not in TRANSITIONS[known.status]:
        return read
    # the job has changed again since: report this event's state, the next event will follow
    then = msgspec.structs.replace(
        known,
        status=state,
        position=None,
        started_at=read.job.started_at if state is JobState.RUNNING else None,
    )
    return Followed(then, 0)
