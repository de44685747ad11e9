"""Problems in the format of Batchline's own interface: RFC 9457, `application/problem+json`.

`jobs/problem_kinds.py` defines the kinds. `api/problems/` maps them to statuses, and exceptions to kinds.
"""

import msgspec
from starlette.responses import Response

from api.problems.problem import Problem

MEDIA_TYPE = "application/problem+json"


def response(problem: Problem) -> Response:
    headers = {"cache-control": "no-store", **problem.headers}
    return Response(msgspec.json.encode(problem.document()), problem.status, headers, MEDIA_TYPE)
