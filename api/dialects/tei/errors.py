"""Problems as TEI's errors: `{error, error_type}`, with TEI's statuses where it has one of its own."""

import msgspec
from starlette.responses import Response

from api.edge.json_reply import JsonReply
from api.problems.problem import Problem

STATUSES = {
    "wrong-task": 424,
    "job-failed": 424,
    "job-cancelled": 424,
    "job-expired": 424,
    "queue-full": 429,
    "server-busy": 429,
}
"""Where the status differs from Batchline's own."""

TYPES = {424: "Backend", 429: "Overloaded", 503: "Unhealthy"}
"""TEI's `error_type` by status; below 500 otherwise Validation, above it Backend."""


def response(problem: Problem) -> Response:
    status = STATUSES.get(problem.kind, problem.status)
    body = {"error": problem.detail, "error_type": error_type(status)}
    if "job_id" in problem.extensions:
        body["job_id"] = problem.extensions["job_id"]
    return JsonReply(msgspec.json.encode(body), status, problem.headers)


def error_type(status: int) -> str:
    """TEI's type of an error with that status."""
    return TYPES.get(status, "Validation" if status < 500 else "Backend")


def unhealthy(model: str) -> Response:
    """The answer to `/health` while no worker serves the model."""
    body = {"error": f"no worker serves model {model!r} now", "error_type": error_type(503)}
    return JsonReply(msgspec.json.encode(body), 503, {})
