"""Problems as OpenAI's errors: `{"error": {"message", "type", "param", "code"}}`.

The clients retry a request that was answered with 408, 409, 429 or 5xx. So no answer is a 409, and one that
would be the same again says that it must not be retried.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from starlette.responses import Response

from api.edge.json_reply import JsonReply
from api.line_calls import Refused
from api.problems.problem import Problem
from jobs.errors import InvalidRequest, UnknownModel

STATUSES = {
    "invalid-request": 400,
    "idempotency-mismatch": 400,
    "wrong-task": 400,
    "job-cancelled": 410,
}
"""Statuses that differ from those of Batchline's own interface."""

CODES = {
    "unknown-model": "model_not_found",
    "unauthorized": "invalid_api_key",
    "too-many-requests": "rate_limit_exceeded",
}
"""Codes that OpenAI has for the same; others are our kinds."""

FINAL = frozenset({"not-done-in-time", "job-failed"})
"""Kinds that a retry would not help: the job continues, or would fail again."""


def response(problem: Problem) -> Response:
    """The problem as an answer."""
    headers = {"x-should-retry": "false", **problem.headers} if problem.kind in FINAL else problem.headers
    return JsonReply(msgspec.json.encode(document(problem)), status(problem), headers)


def refused(problem: Problem) -> Refused:
    """The problem as the answer of a line of a batch."""
    return Refused(status(problem), msgspec.json.encode(document(problem)))


def status(problem: Problem) -> int:
    return STATUSES.get(problem.kind, problem.status)


def document(problem: Problem) -> dict[str, Any]:
    """The problem as JSON."""
    parameter = problem.extensions.get("param")
    if parameter is None and (pointer := problem.extensions.get("pointer")):
        parameter = pointer.lstrip("/").replace("/", ".")
    return {
        "error": {
            "message": problem.detail,
            "type": _type(problem),
            "param": parameter,
            "code": CODES.get(problem.kind, problem.kind.replace("-", "_")),
        }
    }


def _type(problem: Problem) -> str:
    match status(problem):
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 429:
            return "rate_limit_error"
        case found if found >= 500:
            return "server_error"
    return "invalid_request_error"


@contextmanager
def renamed(**names: str) -> Iterator[None]:
    """Names the fields of the request instead of those of the job in errors, such as `inputs="input"`.

    A parameter that is not named has the same name in both.
    """
    try:
        yield
    except UnknownModel:
        raise
    except InvalidRequest as error:
        raise _with_names(error, names) from None


def _with_names(error: InvalidRequest, names: Mapping[str, str]) -> InvalidRequest:
    if not error.pointer:
        return error
    parts = error.pointer.split("/")[1:]
    place = "/".join(parts)
    if parts[0] == "parameters":
        parts = parts[1:]
    parts[:1] = [names.get(name, name) for name in parts[:1]]
    found = "/".join(parts)
    message = str(error)
    if message.startswith(place):
        message = found + message.removeprefix(place)
    return InvalidRequest(message, f"/{found}")
