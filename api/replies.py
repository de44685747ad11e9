"""Jobs as HTTP responses: bytes, status and headers. Errors are in `api/problems.py`."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from api import problems
from api.problems import Refusal
from jobs.schema import Job, JobState

_encode = msgspec.json.Encoder().encode

POLL_AGAIN = "1"
"""Seconds, as Retry-After, for who polls instead of waiting."""


class JsonReply(Response):
    """A response whose headers are bytes from the start; Starlette's own goes over them three times."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
        ]


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that no cache keeps."""
    return JsonReply(_encode(content), status, headers or {})


def results(job: Job, headers: Mapping[str, str]) -> Response:
    """What came of a job's inputs; `headers` go with it once done. Raises Refusal where nothing came."""
    if job.status is JobState.CANCELLED:
        raise Refusal("job-cancelled", f"job {job.id} was cancelled")
    if job.status is JobState.EXPIRED:
        raise Refusal("job-expired", f"job {job.id} was not started within its expires_in")
    if not job.status.terminal:
        return reply(job, 202, {"retry-after": POLL_AGAIN})
    if job.results is None:  # it failed without ever having run
        failure = problems.document("job-failed", "the job failed before its inputs were run")
        return reply({"results": [{"error": failure}] * job.counts.total}, headers=headers)
    return reply({"results": job.results}, headers=headers)
