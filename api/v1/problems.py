"""Problems in the format of Batchline's own interface: RFC 9457, `application/problem+json`.

`jobs/problem_kinds.py` defines the kinds. `api/problems/` maps them to statuses, and exceptions to kinds.
"""

from typing import Any

import msgspec
from starlette.responses import Response

from api.problems.problem import Problem
from jobs.problem_kinds import TYPE

MEDIA_TYPE = "application/problem+json"


def document(problem: Problem) -> dict[str, Any]:
    """The problem as a JSON object. `message` repeats `detail`: many generic clients show only `message`."""
    fields = {
        "type": TYPE + problem.kind,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "message": problem.detail,
    }
    return fields | {name: value for name, value in problem.extensions.items() if value is not None}


def response(problem: Problem) -> Response:
    headers = {"cache-control": "no-store", **problem.headers}
    return Response(msgspec.json.encode(document(problem)), problem.status, headers, MEDIA_TYPE)
