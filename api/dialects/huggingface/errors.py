"""Problems as errors of the form `{error, error_type}`, as in text-generation-inference."""

from typing import Any

import msgspec
from starlette.responses import Response

from api.edge.json_reply import JsonReply
from api.problems.problem import Problem

TYPES = {
    "invalid-request": "validation",
    "payload-too-large": "validation",
    "too-many-requests": "overloaded",
    "queue-full": "overloaded",
    "server-busy": "overloaded",
    "job-failed": "generation",
}
"""Kinds of problems -> `error_type`, of which the client makes an exception. The type of another kind is its
name."""


def response(problem: Problem) -> Response:
    return JsonReply(msgspec.json.encode(document(problem)), problem.status, problem.headers)


def document(problem: Problem) -> dict[str, Any]:
    """The error, with the place of what is wrong, or the id of the job that failed, if there is one."""
    kind = problem.kind
    error = {"error": problem.detail, "error_type": TYPES.get(kind, kind.replace("-", "_"))}
    more = {name: problem.extensions.get(name) for name in ("pointer", "job_id")}
    return error | {name: value for name, value in more.items() if value is not None}
