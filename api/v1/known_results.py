"""The known results of a running or ended job's inputs, in the order in which they became known.

`from=N` skips the first N results. The order does not change when the job ends or another worker takes it
over, so a client that has read N results requests the rest. Each result names its input by `index`. A result
that was returned is final.

The answer is JSON, or NDJSON: one line for each result. Large results are sent in pieces.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.access.caller import caller_of
from api.services import Services
from api.v1 import followed_results
from api.v1.replies import refuse_without_results
from api.v1.result_lines import as_lines, in_pieces, results
from api.v1.schemas import KnownResults
from jobs.schema import Job

NDJSON = "application/x-ndjson"
STATUS_HEADER = "x-batchline-status"
"""The job's state before the answer's first line: if it had ended, the answer has all that there is."""

Format = Literal["json", "ndjson"]


class Asked(NamedTuple):
    """The query parameters of a request."""

    after: int
    format: Format | None
    wait: float


async def response(shared: Services, job_id: str, asked: Asked, request: Request) -> Response:
    """The results after the first `after`: all of a job that ended; of a running one as many as fit if it is
    JSON, or else all known ones, and those that become known within the wait. JSON is sent when the job or
    the wait ends.

    Raises Refusal if the job ended without results, JobNotFound, JobGone, LimitExceeded, OverBudget or
    QueueUnavailable.
    """
    lines = asked.format == "ndjson" or (asked.format is None and NDJSON in request.headers.get("accept", ""))
    wait = min(asked.wait, shared.settings.max_wait)
    if wait and not lines:
        await shared.waiting.read(job_id, wait, request)
    found = await shared.ledger.outcomes(job_id, asked.after, sees=caller_of(request.scope).sees)
    headers = {"cache-control": "no-store", STATUS_HEADER: found.job.status}
    media_type = NDJSON if lines else "application/json"
    if found.known is not None:
        if lines:
            if wait:
                shared.wait_limit.check(caller_of(request.scope).sender)
            body = followed_results.lines(shared, found, asked.after, wait, request)
            return StreamingResponse(body, headers=headers, media_type=media_type)
        framed = _as_json(found.job, asked.after, len(found.known), found.known)
        return Response(b"".join(framed), headers=headers, media_type=media_type)
    refuse_without_results(found.job)
    count, known = await results(shared, found, asked.after)
    parts = as_lines(known) if lines else _as_json(found.job, asked.after, count, known)
    if isinstance(found.job.results, msgspec.Raw):
        return Response(b"".join(parts), headers=headers, media_type=media_type)
    return StreamingResponse(in_pieces(parts), headers=headers, media_type=media_type)


def _as_json(job: Job, after: int, count: int, known: Iterable[bytes]) -> Iterator[bytes]:
    """The results as the last member of an object."""
    page = KnownResults(job.status, job.counts, after + count, [])
    yield msgspec.json.encode(page).removesuffix(b"]}")
    between = b""
    for result in known:
        yield between + result
        between = b","
    yield b"]}"
