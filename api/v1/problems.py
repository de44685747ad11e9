"""Problems as Batchline's own interface presents them: RFC 9457, `application/problem+json`.

Which kinds there are: `jobs/problem_kinds.py`; their statuses and which exception is which: `api/problems/`.
"""

from typing import Any

import msgspec
from starlette.responses import Response

from api.problems.problem import Problem
from jobs.problem_kinds import TYPE

MEDIA_TYPE = "application/problem+json"


def document(problem: Problem) -> dict[str, Any]:
    """The problem as a JSON object. `message` is `detail` again: many generic clients show only that name."""
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
