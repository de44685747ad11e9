"""Streams a job's events (Server-Sent Events): its current state, then each change, until it is terminal.

While a job of many inputs runs, `progress` events report its counts. If the job wants partial answers,
`output` events have new text of an input, and `restarted` ones void the text of an input.

An event's id is `<status>.<attempts>`, or `<status>.<attempts>.<inputs done>` if some inputs are done and the
job has not ended; then `~<position>` if there are partial answers up to there. A client that reconnects with
an id in `Last-Event-ID` receives what follows. With the id of a terminal state it receives 204, which stops
it.
"""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.access.caller import caller_of
from api.problems.problem import Refusal
from api.waiting.following import Change, Events, Quiet, event_id, follow
from api.waiting.job_json import around, parts
from api.waiting.large_results import HeldResults
from jobs.errors import LimitExceeded
from jobs.ledger.partials import OUTPUT, Line
from jobs.ledger.reading import STATE_ONLY
from jobs.schema import Job, JobState

KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy closes the stream."""
RETRY_MS = 1_000
"""Milliseconds after which a client reconnects when the stream is interrupted."""

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_ID = re.compile(r"([a-z]+\.\d{1,9}(?:\.\d{1,9})?)(?:~(\d{1,12}))?", re.ASCII)
"""The id of an event, with or without a position."""


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


def event_name(job: Job, known_id: str | None) -> str:
    """`progress` if inputs are done and the last event already reported `running`, else the job's state."""
    running = job.status is JobState.RUNNING and (known_id or "").startswith(f"{job.status}.")
    return "progress" if running and job.counts.succeeded + job.counts.failed else job.status


async def frame(
    job: Job, name: str, held: HeldResults | None, retry: bytes, position: int = 0
) -> AsyncIterator[bytes]:
    """One event, in several parts if its results are large. The JSON has no line breaks, as SSE requires."""
    known = event_id(job) if job.status.terminal else with_position(event_id(job), position)
    start = retry + f"id: {known}\nevent: {name}\ndata: ".encode()
    if held is None:
        yield start + msgspec.json.encode(job) + b"\n\n"
    else:
        before, after = around(job)
        async for part in parts(start + before, held, after + b"\n\n"):
            yield part


def line_frame(line: Line, known: str) -> bytes:
    """The event of a partial answer."""
    name = "output" if line.kind == OUTPUT else "restarted"
    return f"id: {known}\nevent: {name}\ndata: ".encode() + line.json + b"\n\n"


def with_position(state: str, position: int) -> str:
    """The id of an event after which the client knows this state, and the partial answers up to there."""
    return f"{state}~{position}" if position else state


def split(last_id: str | None) -> tuple[str | None, int]:
    """The state and the position in an id that a client sent; None and 0 if it is none of ours."""
    found = _ID.fullmatch(last_id or "")
    return (found[1], int(found[2] or 0)) if found else (None, 0)


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
    known_id, position = split(last_id)
    try:
        following = follow(source, job_id, request, known_id, position, KEEP_ALIVE)
        async with aclosing(following):
            async for one in following:
                match one:
                    case Quiet():
                        yield b": keep-alive\n\n"
                        continue
                    case Change(job, held):
                        name, known_id = event_name(job, known_id), event_id(job)
                        async for part in frame(job, name, held, retry, position):
                            yield part
                    case line:
                        position = line.position
                        yield retry + line_frame(line, with_position(known_id or "", position))
                retry = b""
    except Refusal as refusal:  # the caller's key is no longer accepted
        yield problem_event(refusal)
