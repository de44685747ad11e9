"""Problems as errors of the rerank interface.

Cohere's clients show `message`, Jina's `detail`. No status is 409, which Cohere's client retries.
"""

import msgspec
from starlette.responses import Response

from api.edge.json_reply import JsonReply
from api.line_calls import Refused
from api.problems.problem import Problem

STATUSES = {"job-cancelled": 499}
"""Where the status differs from Batchline's own. Cohere answers 499 when a request was cancelled."""


def response(problem: Problem) -> Response:
    """The problem as an answer."""
    status, body = refused(problem)
    return JsonReply(body, status, problem.headers)


def refused(problem: Problem) -> Refused:
    """The problem as the answer of a line of a batch."""
    body = {"message": problem.detail, "detail": problem.detail}
    if "job_id" in problem.extensions:
        body["job_id"] = problem.extensions["job_id"]
    return Refused(STATUSES.get(problem.kind, problem.status), msgspec.json.encode(body))
