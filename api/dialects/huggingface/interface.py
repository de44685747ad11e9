"""The Hugging Face interface: its routes, errors and part of the OpenAPI description."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.dialects.huggingface import calls
from api.edge.json_reply import JsonReply
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog

ERROR_TYPES = {
    "invalid-request": "validation",
    "payload-too-large": "validation",
    "too-many-requests": "overloaded",
    "queue-full": "overloaded",
    "server-busy": "overloaded",
    "job-failed": "generation",
}
"""Kinds of problems -> the types of text-generation-inference, of which the client makes exceptions. The type
of another kind is its own name."""


class HuggingFace:
    """A `Dialect`."""

    prefix = "/models/"
    routers = (calls.direct, calls.router)

    def refuse(self, request: Request, problem: Problem) -> Response:
        """The problem as `{error, error_type}`, with the job's id if there is one."""
        error = {"error": problem.detail, "error_type": error_type(problem.kind)}
        extensions = {
            name: problem.extensions[name] for name in ("pointer", "job_id") if name in problem.extensions
        }
        return JsonReply(msgspec.json.encode({**error, **extensions}), problem.status, problem.headers)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        """All of it is on the routes."""


def error_type(kind: str) -> str:
    """The `error_type` of a kind of problem."""
    return ERROR_TYPES.get(kind, kind.replace("-", "_"))
