"""Streams a job's events (Server-Sent Events): its current state, then each change, until it is terminal.

While a job of many inputs runs, `progress` events report its counts.

An event's id is `<status>.<attempts>`, or `<status>.<attempts>.<inputs done>` if some inputs are done and the
job has not ended. A client that reconnects with the id of the current state in `Last-Event-ID` does not
receive that state again. With the id of a terminal state it receives 204, which stops it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.access.caller import caller_of, readmit
from api.edge.memory_budget import OverBudget
from api.problems.problem import Refusal
from api.waiting.job_json import around, parts
from api.waiting.large_results import HeldResults, LargeResults
from api.waiting.subscriber import Notice, Subscriber
from api.waiting.wait_limit import WaitLimit
from jobs.errors import JobGone, JobNotFound, LimitExceeded, QueueUnavailable
from jobs.ledger import ownership, views
from jobs.ledger.ledger import Ledger
from jobs.ledger.reading import STATE_ONLY
from jobs.ledger.wire import Event
from jobs.schema import TRANSITIONS, Job, JobState

KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy closes the stream."""
READ_RETRY_SECONDS = 0.5
"""Seconds between attempts to read a job while Redis cannot be reached."""
RETRY_MS = 1_000
"""Milliseconds after which a client reconnects when the stream is interrupted."""

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Events(NamedTuple):
    """The services that a stream reads from."""

    ledger: Ledger
    subscriber: Subscriber
    large: LargeResults
    limit: WaitLimit


async def stream(source: Events, job_id: str, last_id: str | None, request: Request) -> Response:
    """The stream as a response; it counts as a wait of its caller.

    Raises JobNotFound, JobGone, LimitExceeded or QueueUnavailable before the stream starts. If its caller is
    no longer admitted when the job is read again, the stream ends with the event `error`.
    """
    job = await source.ledger.read(job_id, STATE_ONLY, sees=caller_of(request.scope).sees)
    if job.status.terminal and last_id == event_id(job):
        return Response(status_code=204)
    source.limit.check(caller_of(request.scope).sender)
    return StreamingResponse(
        _counted(source, job_id, last_id, request), headers=HEADERS, media_type="text/event-stream"
    )


def event_id(job: Job) -> str:
    done = job.counts.succeeded + job.counts.failed
    progress = f".{done}" if done and not job.status.terminal else ""
    return f"{job.status}.{job.attempts}{progress}"


def event_name(job: Job, last_id: str | None) -> str:
    """`progress` if inputs are done and the last event already reported `running`, else the job's state."""
    running = job.status is JobState.RUNNING and (last_id or "").startswith(f"{job.status}.")
    return "progress" if running and job.counts.succeeded + job.counts.failed else job.status


async def frame(job: Job, name: str, held: HeldResults | None, retry: bytes) -> AsyncIterator[bytes]:
    """One event, in several parts if its results are large. The JSON has no line breaks, as SSE requires."""
    start = retry + f"id: {event_id(job)}\nevent: {name}\ndata: ".encode()
    if held is None:
        yield start + msgspec.json.encode(job) + b"\n\n"
    else:
        before, after = around(job)
        async for part in parts(start + before, held, after + b"\n\n"):
            yield part


async def _counted(
    source: Events, job_id: str, last_id: str | None, request: Request
) -> AsyncIterator[bytes]:
    """The frames, without any if another stream took the last wait since the check."""
    with suppress(LimitExceeded), source.limit.hold(caller_of(request.scope).sender):
        async for part in _frames(source, job_id, last_id, request):
            yield part


def problem_event(refusal: Refusal) -> bytes:
    """The event `error` with the problem, the last of a stream whose caller is no longer admitted."""
    return b"event: error\ndata: " + msgspec.json.encode(refusal.problem.document()) + b"\n\n"


async def _frames(source: Events, job_id: str, last_id: str | None, request: Request) -> AsyncIterator[bytes]:
    retry = b"retry: %d\n" % RETRY_MS
    with source.subscriber.watching(job_id) as watch:
        watch.notify(Notice.MISSED)  # the job has not been read since the watch began
        job: Job | None = None
        while job is None or not job.status.terminal:
            update = await watch.next(KEEP_ALIVE)
            if update is Notice.RELEASED:
                return
            if update is None:
                yield b": keep-alive\n\n"
                update = Notice.MISSED  # renews the registration, and makes up for a lost event
            try:
                found = await _updated(update, job, source, job_id, request)
                new = event_id(found) != last_id
                held = await source.large.of(found) if new and found.results is msgspec.UNSET else None
            except (QueueUnavailable, OverBudget):
                asyncio.get_running_loop().call_later(READ_RETRY_SECONDS, watch.notify, Notice.MISSED)
                continue
            except Refusal as refusal:  # the caller's key is no longer accepted
                yield problem_event(refusal)
                return
            except (JobGone, JobNotFound):  # the job's lifetime ended without an event
                return
            job = found
            if new:
                name, last_id = event_name(job, last_id), event_id(job)
                async for part in frame(job, name, held, retry):
                    yield part
                retry = b""


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
