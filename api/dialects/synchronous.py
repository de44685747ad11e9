"""A synchronous call: its request becomes a job, waits for the job's end, and is answered with the outputs.

Each dialect gives two functions: from a request's body to a job, and from the job's outputs to an answer.
Everything else is the same for all dialects: limits of the body, headers (`headers.py`), the wait, and
errors, which are raised and presented by the dialect (`Dialect.refuse`). A client that leaves cancels its
job, unless it can ask for it again with its idempotency key.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar
from weakref import finalize

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import caller_of
from api.dialect import Accepted, Call, ParsedRequest
from api.dialects import outcomes
from api.dialects.headers import headers_of, priority_of
from api.dialects.json_bodies import is_json
from api.dialects.lines import check_size
from api.edge import bodies
from api.edge.cross_origin import refuse_cross_site
from api.edge.decoding import THREAD_BYTES, in_thread, is_heavy
from api.intake import idempotency_key
from api.problems.problem import Refusal
from api.services import Services, services
from jobs.schema import Job, NewJob

C = TypeVar("C")


@dataclass(frozen=True)
class Synchronous(Generic[C]):
    """A synchronous call of a dialect."""

    read: Callable[[Request, bytearray, Services], tuple[NewJob, C]]
    """Makes a job of a request and its body, and the data that `answer` needs, without inputs. Raises
    InvalidRequest or Refusal. It may run in a thread."""
    answer: Callable[[Job, list[msgspec.Raw], C], Response]
    """Makes the response of a succeeded job and its outputs, one JSON value for each input, in their order.
    Raises Refusal. It may run in a thread."""
    only_json: bool = True
    """Whether a body of another content type is refused. If not, `read` decides."""
    stream: Callable[[Request, NewJob, C], Awaitable[Response] | None] | None = None
    """Answers a request with a stream (`streamed.py`); returns None if none is wanted."""
    size: Callable[[NewJob], int] | None = None
    """The characters of a job's inputs, if a part of the body may be in several of them (`check_size`)."""

    async def run(self, request: Request) -> Response:
        """The response to a request. Raises the errors of the intake, and Refusal with the job's id."""
        if self.stream is None:
            return await services(request).intake.run(request, self._call)
        job, context = await self._read(request)
        if (streaming := self.stream(request, job, context)) is not None:
            del job
            return await streaming
        parsed = [self._parsed(request, job, context)]
        del job  # its inputs must not stay in memory during the wait

        async def parse(request: Request) -> ParsedRequest[tuple[bool, C]]:
            return parsed.pop()

        return await services(request).intake.run(request, Call(parse, self._present))

    @cached_property
    def _call(self) -> Call[tuple[bool, C]]:
        return Call(self._parse, self._present)

    async def _parse(self, request: Request) -> ParsedRequest[tuple[bool, C]]:
        job, context = await self._read(request)
        return self._parsed(request, job, context)

    async def _read(self, request: Request) -> tuple[NewJob, C]:
        job, context = await read_job(request, self.read, only_json=self.only_json)
        if self.size is not None:
            size = self.size(job)
            check_size(job, size, services(request).settings)
            share = bodies.share_of(request)
            share.resize(max(share.size, bodies.MEMORY_PER_BYTE * size))
        return job, context

    def _parsed(self, request: Request, job: NewJob, context: C) -> ParsedRequest[tuple[bool, C]]:
        key = idempotency_key(request)
        return ParsedRequest(job, (key is not None, context), services(request).settings.max_wait, key)

    async def _present(self, request: Request, accepted: Accepted, given: tuple[bool, C]) -> Response:
        repeatable, context = given
        job = accepted.job
        if not job.status.terminal:
            if not repeatable and await request.is_disconnected():  # nobody knows the job's id
                await services(request).ledger.cancel(job.id, sees=caller_of(request.scope).sees)
            raise outcomes.not_done(job, headers_of(accepted))
        try:
            response = await self._answered(job, context, services(request))
        except Refusal as refusal:
            raise outcomes.of_job(refusal, job, headers_of(accepted)) from None
        for name, value in headers_of(accepted).items():
            response.raw_headers.append((name.encode(), value.encode()))
        return response

    async def _answered(self, job: Job, context: C, shared: Services) -> Response:
        if job.results is not UNSET:
            return self.answer(job, outcomes.outputs(job, job.results), context)
        results, share = await shared.large.copy(job, 2)  # the answer has them again
        try:
            response = await in_thread(self._whole, job, msgspec.Raw(results), context)
        except BaseException:
            share.release()
            raise
        finalize(response, share.release)
        return response

    def _whole(self, job: Job, results: msgspec.Raw, context: C) -> Response:
        return self.answer(job, outcomes.outputs(job, results), context)


async def read_job(
    request: Request,
    read: Callable[[Request, bytearray, Services], tuple[NewJob, C]],
    *,
    only_json: bool = True,
) -> tuple[NewJob, C]:
    """Reads the request's body and makes a job of it, with the priority of its header.

    Raises what `read` raises; Refusal for a wrong content type or priority, and if the body is too large.
    """
    shared = services(request)
    if not is_json(request):
        refuse_cross_site(request, shared.settings.cors_origins)
        if only_json and request.headers.get("content-type") is not None:
            raise Refusal("unsupported-media-type", "send the body as JSON (content-type: application/json)")
    priority = priority_of(request)
    body = await bodies.read(request, shared.settings.max_request_bytes, bodies.MAX_REQUEST_BYTES)
    heavy = is_heavy(body) if is_json(request) else len(body) >= THREAD_BYTES
    job, context = await in_thread(read, request, body, shared) if heavy else read(request, body, shared)
    return (job if priority is None else replace(job, priority=priority)), context
