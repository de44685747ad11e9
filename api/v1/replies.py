"""HTTP responses with jobs: bytes, status and headers. Errors are in `api/v1/problems.py`.

Results are stored as JSON. Small results are encoded with their job. Large results
(`api/waiting/large_results.py`) are sent in pieces between the other bytes of the job, so that all responses
share one copy.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.edge import compression
from api.edge.json_reply import JsonReply, encoded
from api.problems.problem import Refusal
from api.waiting.job_json import around, parts
from api.waiting.large_results import HeldResults, LargeResults
from jobs.problem_kinds import failure
from jobs.schema import Job, JobState

_encode = msgspec.json.Encoder().encode

POLL_AGAIN = "1"
"""Retry-After in seconds, for clients that poll instead of waiting."""


class LargeReply(JsonReply):
    """A JSON response that contains large results."""

    def __init__(
        self, before: bytes, held: HeldResults, after: bytes, status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(b"", status, headers, len(before) + held.size + len(after))
        self.raw_headers.append(compression.VARY)
        self._parts = parts(before, held, after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises CutOff if the results were dropped meanwhile, ClientDisconnect if the client is gone."""
        request = Request(scope, receive)
        gzip = compression.compression(scope)
        if gzip is None:
            await self._send(self._parts, request, send)
        else:
            self.raw_headers = encoded(self.raw_headers)
            with gzip:
                await self._send(gzip.stream(self._parts), request, send)

    async def _send(self, given: AsyncIterator[bytes], request: Request, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        async for part in given:  # the server requests the next part when the client has taken the last one
            if await request.is_disconnected():  # else the server would request and drop all other parts
                raise ClientDisconnect
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response that caches must not store."""
    return JsonReply(_encode(content), status, headers or {})


async def job_reply(
    large: LargeResults, job: Job, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response with the job and its results, small or large. Raises as `LargeResults.of`."""
    if job.results is not msgspec.UNSET:
        return reply(job, status, headers)
    before, after = around(job)
    return LargeReply(before, await large.of(job), after, status, headers or {})


def refuse_without_results(job: Job) -> None:
    """Raises Refusal if the job was cancelled or expired, because it has no results."""
    if job.status is JobState.CANCELLED:
        raise Refusal("job-cancelled", f"job {job.id} was cancelled")
    if job.status is JobState.EXPIRED:
        raise Refusal("job-expired", f"job {job.id} was not started within its expires_in")


async def results(large: LargeResults, job: Job, headers: Mapping[str, str]) -> Response:
    """A response with a job's results. `headers` are added if the job is done.

    Raises Refusal if the job ended without results, and as `LargeResults.of`.
    """
    refuse_without_results(job)
    if not job.status.terminal:
        return reply(job, 202, {"retry-after": POLL_AGAIN})
    if job.results is None:  # the job failed before it ran
        error = failure("job-failed", "the job failed before its inputs were run")
        return reply({"results": [{"error": error}] * job.counts.total}, headers=headers)
    if job.results is msgspec.UNSET:
        return LargeReply(b'{"results":', await large.of(job), b"}", 200, headers)
    return reply({"results": job.results}, headers=headers)
