"""Every kind of problem and its title: why a request is refused, or why an input has no output.

A kind is the last part of a problem's `type` (RFC 9457). Clients compare it, so kinds are never renamed and
each has one title. The HTTP status of a kind is in `api/problems/statuses.py`.
"""

from typing import Any, Literal, get_args

TYPE = "urn:batchline:problem:"
"""Prefix of a problem's `type`."""

TITLES = {
    # a request
    "invalid-request": "The request cannot be run",
    "idempotency-mismatch": "The idempotency key was used with another request",
    "request-timeout": "The request came too slowly",
    "payload-too-large": "The request is too large",
    "unsupported-media-type": "The content type is not supported",
    "unauthorized": "The API key is missing or not accepted",
    "forbidden": "The API key does not allow this",
    "too-many-attempts": "Too many wrong API keys",
    "cross-site": "The request comes from another site's page",
    "unknown-host": "This host name is not served here",
    "unknown-model": "No such model",
    "wrong-task": "The model has another task",
    "unknown-job": "No such job",
    "job-gone": "The job's lifetime is over",
    "unknown-batch": "No such batch",
    "job-cancelled": "The job was cancelled",
    "job-expired": "The job was not started in time",
    "job-failed": "The job failed",
    "not-done-in-time": "The job has not ended yet",
    "queue-full": "The queue is full",
    "too-many-requests": "A limit of your key is reached",
    "server-busy": "The server is busy",
    "redis-unavailable": "The queue cannot be reached",
    "unknown-file": "No such file",
    "quota-exceeded": "The quota of your files is used up",
    "storage-unavailable": "The storage of files cannot be reached",
    "storage-full": "The storage of files is full",
    "not-found": "Not found",
    "method-not-allowed": "Method not allowed",
    "range-not-satisfiable": "No such part",
    "bad-request": "The request is malformed",
    "internal-error": "Internal server error",
    # an input, or all inputs of a job
    "input-failed": "The pipeline failed on this input",
    "engine-died": "The engine died on this input",
    "engine-timeout": "The engine hung on this input",
    "output-not-encodable": "The output is not JSON",
    "job-given-up": "Other inputs of the job killed the engine",
    "attempts-exhausted": "The job was tried too often",
    "result-too-large": "The results are too large",
}

FailureKind = Literal[
    "input-failed",
    "engine-died",
    "engine-timeout",
    "output-not-encodable",
    "job-given-up",
    "attempts-exhausted",
    "result-too-large",
    "invalid-request",
]
FAILURES: tuple[FailureKind, ...] = get_args(FailureKind)
"""Kinds that a worker reports as the reason why an input has no output."""

OF_INPUTS = frozenset({"input-failed", "invalid-request"})
"""Kinds of failures whose reason is the input: it would fail again, alone and in any engine."""


def failure(kind: str, detail: str) -> dict[str, Any]:
    """Returns the error of one input in a job's results: a problem without an HTTP status."""
    return {"type": TYPE + kind, "title": TITLES.get(kind, kind), "detail": detail}
