"""Maps exceptions to problems. No other file maps exceptions to kinds.

`jobs/errors.py` defines the exceptions of the domain. This file defines what a client sees of them.
"""

from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.problems.problem import Problem, Refusal
from jobs import errors

KINDS: dict[type[Exception], str] = {
    errors.UnknownModel: "unknown-model",
    errors.InvalidRequest: "invalid-request",
    errors.IdempotencyMismatch: "idempotency-mismatch",
    errors.QueueFull: "queue-full",
    errors.LimitExceeded: "too-many-requests",
    errors.JobTooLarge: "payload-too-large",  # not 429, which clients would retry
    errors.JobNotFound: "unknown-job",
    errors.JobGone: "job-gone",
    errors.BatchNotFound: "unknown-batch",
    errors.FileNotFound: "unknown-file",
    errors.FileTooLarge: "payload-too-large",
    errors.QuotaExceeded: "quota-exceeded",
    errors.HookNotFound: "not-found",
    errors.HookChanged: "server-busy",
    errors.StorageFull: "storage-full",
    errors.StorageUnavailable: "storage-unavailable",
    errors.QueueUnavailable: "redis-unavailable",
}
"""The kind of each exception of the domain and of its subclasses. The first match is used."""

FRAMEWORK = {404: "not-found", 405: "method-not-allowed"}
"""The kinds of Starlette's own errors, by status."""

EXPECTED: tuple[type[Exception], ...] = (Refusal, *KINDS)
"""Exceptions that are part of normal operation. All others are bugs."""


def problem_of(error: Exception) -> Problem:
    """The problem of Batchline's exception, or of an unexpected one, whose text is only logged."""
    if isinstance(error, Refusal):
        return error.problem
    kind = next((kind for cls, kind in KINDS.items() if isinstance(error, cls)), None)
    if kind is None:
        return Problem("internal-error", HTTPStatus.INTERNAL_SERVER_ERROR.description)
    extensions = {} if (pointer := getattr(error, "pointer", None)) is None else {"pointer": pointer}
    headers = {}
    if isinstance(error, errors.FileTooLarge):
        extensions["max_bytes"] = error.max_bytes
    if isinstance(error, errors.LimitExceeded | errors.JobTooLarge):
        extensions["policy"] = error.policy
    if isinstance(error, errors.LimitExceeded):
        headers["retry-after"] = str(error.retry_after)
    return Problem(kind, _detail(error), extensions, headers)


def framework_problem(request: Request, error: Exception) -> Problem:
    """The problem of an exception of FastAPI or Starlette: a wrong parameter, path or method."""
    if isinstance(error, RequestValidationError):
        fault: dict[str, Any] = error.errors()[0]
        where, name = fault["loc"][0], str(fault["loc"][-1])
        return Problem("invalid-request", f"{where} parameter {name!r}: {fault['msg']}", {"parameter": name})
    assert isinstance(error, HTTPException)
    detail = {
        404: f"the path {request.url.path} does not exist",
        405: f"{request.url.path} does not allow {request.method}",
    }.get(error.status_code, error.detail)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return Problem(FRAMEWORK.get(error.status_code, "bad-request"), detail, headers=headers)


def _detail(error: Exception) -> str:
    """The detail for the client. It does not reveal the address or error message of Redis or of the
    storage."""
    if isinstance(error, errors.QueueDamaged):
        return "a key of the queue in Redis holds another program's data; the server's log names the key"
    if isinstance(error, errors.QueueUnavailable):
        return "Redis cannot be reached or does not accept writes now; retry later"
    if isinstance(error, errors.StorageFull):
        return "the storage of files has no space left; retry later"
    if isinstance(error, errors.StorageUnavailable):
        return "the storage of files cannot be reached or does not accept this now; retry later"
    return str(error)
