"""Jobs as HTTP responses: bytes, status and headers. Errors are in `api/v1/problems.py`.

Results are JSON already. Small ones are encoded with their job; large ones (`api/waiting/large_results.py`)
are sent piece by piece between the bytes before and after them, so that all answers share one copy.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.edge import compression
from api.problems.problem import Refusal
from api.waiting.job_json import around, parts
from api.waiting.large_results import Held, Large
from jobs.problem_kinds import failure
from jobs.schema import Job, JobState

_encode = msgspec.json.Encoder().encode

POLL_AGAIN = "1"
"""Seconds, as Retry-After, for who polls instead of waiting."""


class JsonReply(Response):
    """A response whose headers are bytes from the start; Starlette's own goes over them three times."""

    def __init__(
        self, body: bytes, status: int, headers: Mapping[str, str], length: int | None = None
    ) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % (len(body) if length is None else length)),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) >= compression.LEAST:
            await self._compress(scope)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})

    async def _compress(self, scope: Scope) -> None:
        self.raw_headers.append(compression.VARY)
        if (gzip := compression.compression(scope)) is not None:
            with gzip:
                self.body = await gzip.whole(self.body)
            length = (b"content-length", b"%d" % len(self.body))
            self.raw_headers = [*_encoded(self.raw_headers), length]


class LargeReply(JsonReply):
    """A response with large results between its first and its last bytes."""

    def __init__(
        self, before: bytes, held: Held, after: bytes, status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(b"", status, headers, len(before) + held.size + len(after))
        self.raw_headers.append(compression.VARY)
        self._parts = parts(before, held, after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises CutOff where the results were dropped meanwhile, ClientDisconnect where its client left."""
        request = Request(scope, receive)
        gzip = compression.compression(scope)
        if gzip is None:
            await self._send(self._parts, request, send)
        else:
            self.raw_headers = _encoded(self.raw_headers)
            with gzip:
                await self._send(gzip.stream(self._parts), request, send)

    async def _send(self, given: AsyncIterator[bytes], request: Request, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        async for part in given:  # the server takes the next one when its client has taken the last
            if await request.is_disconnected():  # the server would take all the rest, and drop it
                raise ClientDisconnect
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _encoded(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of the same answer once it is compressed: it has another length."""
    return [*(header for header in headers if header[0] != b"content-length"), compression.ENCODED]


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that no cache keeps."""
    return JsonReply(_encode(content), status, headers or {})


async def shown(
    large: Large, job: Job, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The job with its results, however large. Raises as `Large.of`."""
    if job.results is not msgspec.UNSET:
        return reply(job, status, headers)
    before, after = around(job)
    return LargeReply(before, await large.of(job), after, status, headers or {})


def refuse_without_results(job: Job) -> None:
    """Raises Refusal for a job that ended without results."""
    if job.status is JobState.CANCELLED:
        raise Refusal("job-cancelled", f"job {job.id} was cancelled")
    if job.status is JobState.EXPIRED:
        raise Refusal("job-expired", f"job {job.id} was not started within its expires_in")


async def results(large: Large, job: Job, headers: Mapping[str, str]) -> Response:
    """What came of a job's inputs; `headers` go with it once done.

    Raises Refusal where nothing came, and as `Large.of`.
    """
    refuse_without_results(job)
    if not job.status.terminal:
        return reply(job, 202, {"retry-after": POLL_AGAIN})
    if job.results is None:  # it failed without ever having run
        error = failure("job-failed", "the job failed before its inputs were run")
        return reply({"results": [{"error": error}] * job.counts.total}, headers=headers)
    if job.results is msgspec.UNSET:
        return LargeReply(b'{"results":', await large.of(job), b"}", 200, headers)
    return reply({"results": job.results}, headers=headers)
