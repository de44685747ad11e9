"""Which problem an exception is: the one place that maps exceptions to kinds.

What an exception of the domain means is in `jobs/errors.py`; here is only what a client is told of it.
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
    errors.JobNotFound: "unknown-job",
    errors.JobGone: "job-gone",
    errors.QueueUnavailable: "redis-unavailable",
}
"""The kind of each exception of the domain, and of those derived from it; the first that fits."""

FRAMEWORK = {404: "not-found", 405: "method-not-allowed"}
"""The kind of what Starlette itself refuses, by its status."""

EXPECTED: tuple[type[Exception], ...] = (Refusal, *KINDS)
"""Exceptions that are an ordinary answer; all others are bugs."""


def problem_of(error: Exception) -> Problem:
    """Of an exception that Batchline raises, or of a bug, whose text is for the log only."""
    if isinstance(error, Refusal):
        return error.problem
    kind = next((kind for cls, kind in KINDS.items() if isinstance(error, cls)), None)
    if kind is None:
        return Problem("internal-error", HTTPStatus.INTERNAL_SERVER_ERROR.description)
    pointer = getattr(error, "pointer", None)
    return Problem(kind, _detail(error), {} if pointer is None else {"pointer": pointer})


def framework_problem(request: Request, error: Exception) -> Problem:
    """Of what FastAPI and Starlette raise: a wrong parameter, an unknown path, a wrong method."""
    if isinstance(error, RequestValidationError):
        fault: dict[str, Any] = error.errors()[0]
        where, name = fault["loc"][0], str(fault["loc"][-1])
        return Problem("invalid-request", f"{where} parameter {name!r}: {fault['msg']}", {"parameter": name})
    assert isinstance(error, HTTPException)
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not possible at {request.url.path}",
    }.get(error.status_code, error.detail)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return Problem(FRAMEWORK.get(error.status_code, "bad-request"), detail, headers=headers)


def _detail(error: Exception) -> str:
    """Where Redis is and what it said is not a client's business."""
    if isinstance(error, errors.QueueDamaged):
        return "another program's data lies under a key of the queue in Redis; the server's log names the key"
    if isinstance(error, errors.QueueUnavailable):
        return "Redis cannot be reached or takes no writes at the moment"
    return str(error)
