"""A streamed call: its request becomes a job with `stream`, whose texts are sent while they grow.

Once a client has a part of a text, the text can only grow: if it starts again because an engine or a worker
was lost, or ends differently, the stream ends with an error. A client that leaves cancels its job.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access.caller import caller_of
from api.dialect import Accepted
from api.dialects import outcomes
from api.dialects.headers import headers_of
from api.edge import bodies
from api.edge.disconnects import while_connected
from api.intake import idempotency_key
from api.problems.exceptions import EXPECTED, problem_of
from api.problems.problem import Problem, Refusal
from api.services import services
from api.waiting.following import Change, Events, Quiet, follow
from jobs.ledger import partials
from jobs.ledger.ledger import Ledger
from jobs.ledger.partials import Output, Restarted
from jobs.schema import Job, NewJob

KEEP_ALIVE = 15.0
"""Seconds without a text after which a comment is sent, so that no proxy closes the stream."""

SILENCE = b": keep-alive\n\n"
"""A comment, which clients ignore."""


class Text(msgspec.Struct, frozen=True):
    """More of the output of one input."""

    index: int
    text: str
    tokens: int
    """Tokens of the output so far."""


class Ended(NamedTuple):
    """The end of the job, with its outputs."""

    job: Job
    outputs: list[msgspec.Raw]


Step = Quiet | Text | Ended
Frames = Callable[[Job, AsyncIterator[Step]], AsyncIterator[bytes]]
"""Makes the frames of the stream of a dialect. The last step is Ended, or an exception of `EXPECTED`."""
ErrorFrame = Callable[[Problem], bytes]
"""Makes the last frame of a stream that fails."""


async def stream(request: Request, new: NewJob, frames: Frames, error_frame: ErrorFrame) -> Response:
    """Submits a job and returns the stream of its texts as server-sent events.

    It begins with the first text, or after KEEP_ALIVE seconds. What fails before is raised, as by
    `Synchronous.run`; later it becomes the last frame.
    """
    shared, key = services(request), idempotency_key(request)
    caller = caller_of(request.scope)
    shared.wait_limit.check(caller.sender)
    job_id = await shared.ledger.new_id(caller.sender, key)
    try:
        job, replayed = await shared.intake.submit(request, replace(new, stream=True), job_id, key)
    finally:
        del new
        bodies.release(request.scope)
    steps = _steps(request, job, kept=key is not None, repeated=replayed)
    accepted = Accepted(job, replayed)

    async def first_step() -> Step:
        return await anext(steps)

    try:
        first = await while_connected(request, first_step())
    except Refusal as refusal:
        raise outcomes.of_job(refusal, job, headers_of(accepted)) from None
    except BaseException:
        await steps.aclose()
        raise
    return _EventStream(partial(_framed, first, steps, job, frames, error_frame), headers_of(accepted))


def rest(text: str, sent: str) -> str:
    """What is left of a whole text after a part of it was sent. Raises Refusal if it begins otherwise."""
    if not text.startswith(sent):
        raise Refusal("job-failed", "the text changed after a part of it was sent; ask again")
    return text[len(sent) :]


async def _steps(request: Request, job: Job, *, kept: bool, repeated: bool) -> AsyncGenerator[Step]:
    """Yields what happens to the job until it has ended. Raises Refusal, and LimitExceeded at the start.

    If it is closed before, the job is cancelled, unless it is `kept`: the client can ask for it again. At a
    stop of the server the job continues, as that of any other call.
    """
    shared = services(request)
    source = Events(shared.ledger, shared.subscriber, shared.large, shared.wait_limit)
    begun: set[int] = set()
    ended = False
    try:
        with shared.wait_limit.hold(caller_of(request.scope).sender):
            position = 0
            if repeated and not job.status.terminal:
                written, position = await _written(shared.ledger, job.id)
                for part in written:
                    begun.add(part.index)
                    yield part
            async with aclosing(follow(source, job.id, request, None, position, KEEP_ALIVE)) as following:
                async for one in following:
                    match one:
                        case Quiet():
                            yield one
                        case Change(changed, held):
                            if ended := changed.status.terminal:
                                results = changed.results
                                if held is not None or results is UNSET:
                                    held = held or await shared.large.of(changed)
                                    results = msgspec.Raw(held.part(0, held.size))
                                yield Ended(changed, outcomes.outputs(changed, results))
                        case line:
                            match line.decoded():
                                case Output(index, text, tokens):
                                    begun.add(index)
                                    yield Text(index, text, tokens)
                                case Restarted(index) if index in begun:
                                    raise Refusal(
                                        "job-failed",
                                        "the text started again, because the engine that wrote it was lost;"
                                        " ask again",
                                        failure="restarted",
                                    )
        if not ended:  # the server stops; the client can read the job from another one
            kept = True
            raise outcomes.not_done(job, {})
    finally:
        if not ended and not kept:
            await shared.ledger.cancel(job.id, sees=caller_of(request.scope).sees)


async def _written(ledger: Ledger, job_id: str) -> tuple[list[Text], int]:
    """The texts so far of a job that was submitted before, without those that are void; and their position.

    One that started again before this request began is no error for it.
    """
    texts: dict[int, list[Text]] = {}
    position, read = 0, -1
    while position > read:
        read = position
        for line in partials.lines(await ledger.following.partials(job_id, read), read):
            position = line.position
            match line.decoded():
                case Output(index, text, tokens):
                    texts.setdefault(index, []).append(Text(index, text, tokens))
                case Restarted(index):
                    texts.pop(index, None)
    return [text for each in texts.values() for text in each], position


async def _framed(
    first: Step, steps: AsyncGenerator[Step], job: Job, frames: Frames, error_frame: ErrorFrame
) -> AsyncGenerator[bytes]:
    async def all_steps() -> AsyncIterator[Step]:
        yield first
        async for step in steps:
            yield step

    async with aclosing(steps):
        try:
            async for frame in frames(job, all_steps()):
                yield frame
        except EXPECTED as error:
            yield error_frame(problem_of(error))


class _EventStream(Response):
    """Server-sent events, as long as the client is connected."""

    def __init__(self, frames: Callable[[], AsyncGenerator[bytes]], headers: Mapping[str, str]) -> None:
        self._frames = frames
        super().__init__(
            headers={"cache-control": "no-store", "x-accel-buffering": "no", **headers},
            media_type="text/event-stream",
        )
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ClientDisconnect."""
        await while_connected(Request(scope, receive), self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._frames()) as frames:
            async for frame in frames:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
