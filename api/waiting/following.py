"""Follows one job: its states, its progress and its partial answers, as an async iterator for any dialect.

The states and progress come from messages and reads of the job. Partial answers (`jobs/ledger/partials.py`)
come in messages too; if some were missed, they are read from Redis, from the follower's position on.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

import msgspec
from starlette.requests import Request

from api.access.caller import caller_of, readmit
from api.edge.memory_budget import OverBudget
from api.waiting.large_results import HeldResults, LargeResults
from api.waiting.subscriber import Notice, Subscriber, Watch
from api.waiting.wait_limit import WaitLimit
from jobs.errors import JobGone, JobNotFound, QueueUnavailable
from jobs.ledger import ownership, partials, views
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


Followed = Quiet | Change | Line


def event_id(job: Job) -> str:
    """Returns what changes with the job's state and progress."""
    done = job.counts.succeeded + job.counts.failed
    progress = f".{done}" if done and not job.status.terminal else ""
    return f"{job.status}.{job.attempts}{progress}"


async def follow(
    source: Events, job_id: str, request: Request, known_id: str | None, position: int, keep_alive: float
) -> AsyncGenerator[Followed]:
    """Yields each change of the job, and its partial answers after the position, until it has ended.

    `known_id` is the `event_id` of the state that the client knows; this state is not reported again. Of a
    job that has already ended only the end is reported. Yields Quiet after `keep_alive` seconds
    without an event. Ends early at a stop of the server, or when the job's lifetime is over. Raises Refusal
    if the caller is no longer admitted. The caller's right to see the job must have been checked.
    """
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
                    async for line in _partials(source.ledger, job_id, update, position):
                        position = line.position
                        yield line
                    continue
                found = await _updated(update, job, source, job_id, request)
                missed = not isinstance(update, Event)
                if missed and job is not None and found.status.terminal:
                    async for line in _missed(source.ledger, job_id, position):
                        position = line.position
                        yield line
                new = event_id(found) != known_id
                held = await source.large.of(found) if new and found.results is msgspec.UNSET else None
            except (QueueUnavailable, OverBudget):
                _read_again(watch)
                continue
            except (JobGone, JobNotFound):  # the job's lifetime ended without an event
                return
            job = found
            if new:
                known_id = event_id(job)
                yield Change(job, held)
            if missed and job.status is JobState.RUNNING:
                try:
                    async for line in _missed(source.ledger, job_id, position):
                        position = line.position
                        yield line
                except QueueUnavailable:
                    _read_again(watch)


def _read_again(watch: Watch) -> None:
    asyncio.get_running_loop().call_later(READ_RETRY_SECONDS, watch.notify, Notice.MISSED)


async def _partials(ledger: Ledger, job_id: str, event: Event, position: int) -> AsyncIterator[Line]:
    """Yields the partial answers after the position; from the event alone if it has all of them."""
    start, found = event.position or 0, event.partials
    if found is None or start > position:
        async for line in _missed(ledger, job_id, position):
            yield line
    elif start + len(found) > position:
        for line in partials.lines(found[position - start :], position):
            yield line


async def _missed(ledger: Ledger, job_id: str, position: int) -> AsyncIterator[Line]:
    """Yields the partial answers after the position that are in Redis."""
    while found := await ledger.partials(job_id, position):
        complete = found[: found.rfind(b"\n") + 1]
        for line in partials.lines(complete, position):
            yield line
        position += len(complete)
        if not complete:
            return


async def _updated(
    update: Event | Notice, known: Job | None, source: Events, job_id: str, request: Request
) -> Job:
    """The job after the event or notice: made from the event alone if possible, else read from Redis."""
    if isinstance(update, Event) and update.record is not None:
        ended = ownership.shown(views.terminal(job_id, update.record), caller_of(request.scope).sees)
        if ended is not None:
            return ended
    if known is not None and isinstance(update, Event) and known.started_at and update.succeeded is not None:
        return views.progressed(known, update)
    await readmit(request.scope)
    sees = caller_of(request.scope).sees
    job = await source.ledger.read(job_id, sees=sees, watcher=source.subscriber.process)
    if known is None or not isinstance(update, Event) or job.status == update.state:
        return job
    state = JobState(update.state)
    if state.terminal or state not in TRANSITIONS[known.status]:
        return job
    # the job has changed again since: report this event's state, the next event will follow
    return msgspec.structs.replace(
        known,
        status=state,
        position=None,
        started_at=job.started_at if state is JobState.RUNNING else None,
    )
