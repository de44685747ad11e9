"""Headers of calls that are jobs.

x-batchline-priority    in a request: the priority of the job
idempotency-key         in a request: a repeated request gets the first one's job
x-batchline-job         in an answer or an error: the job's id
"""

from typing import Any, get_args

from starlette.requests import Request

from api.dialect import Accepted
from api.problems.problem import Refusal
from jobs.priorities import Priority

JOB_HEADER = "x-batchline-job"
PRIORITY_HEADER = "x-batchline-priority"

PRIORITIES: tuple[Priority, ...] = get_args(Priority)


def priority_of(request: Request) -> Priority | None:
    """The priority in the request's header; None without one. Raises Refusal for any other word."""
    given: Any = request.headers.get(PRIORITY_HEADER)
    if given is not None and given not in PRIORITIES:
        names = f"{', '.join(PRIORITIES[:-1])} or {PRIORITIES[-1]}"
        raise Refusal("invalid-request", f"{PRIORITY_HEADER}: give {names}, not {given[:60]!r}")
    return given  # type: ignore[no-any-return]


def headers_of(accepted: Accepted) -> dict[str, str]:
    """The headers of an answer that has to do with a job."""
    headers = {JOB_HEADER: accepted.job.id}
    return headers | {"idempotency-replayed": "true"} if accepted.replayed else headers
