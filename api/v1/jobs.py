"""/v1/jobs: submit, read, wait, results, cancel, events, list. `submission/` checks requests,
`api/intake.py` submits them, `api/waiting/` implements waiting.

The calls that every client makes for every job are on `direct`, the express lane (`api/edge/express.py`).
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from api.access.permissions import allows
from api.dialect import Accepted, Call, ParsedRequest
from api.edge.express import Direct
from api.intake import idempotency_key
from api.services import Asking, Shared, services
from api.v1 import known_results, query, replies, submission
from api.v1.event_descriptions import EVENTS
from api.v1.openapi import CANCEL, KNOWN_RESULTS, LIST, READ, RESULT, SUBMIT
from api.v1.replies import job_reply, reply
from api.v1.requested_wait import Wait, requested_wait
from api.waiting import events
from api.waiting.following import Events
from jobs.ledger.listing import STATES
from jobs.models import MAX_INPUTS
from jobs.schema import Job

router = APIRouter(tags=["jobs"], dependencies=[Depends(query.check_declared)])
direct = APIRouter(tags=["jobs"], route_class=Direct)

MAX_PAGE = 100
"""Maximum jobs on one page of the listing."""

States = Annotated[
    Sequence[str],
    Query(
        description="Only jobs in this state. `partial`: some inputs failed, others succeeded. For several"
        " states, repeat the parameter or separate them by commas.",
        json_schema_extra={"items": {"type": "string", "enum": list(STATES)}},
    ),
]
Models = Annotated[
    Sequence[str], Query(description="Only jobs of this model. For several models, as for `state`.")
]


async def _parse(request: Request) -> ParsedRequest[Wait]:
    shared = services(request)
    content = submission.content_of(request, shared.settings.cors_origins)
    wait = requested_wait(request, submission.query_of(content))
    key = idempotency_key(request)
    job = await submission.read_job(request, content, shared.catalog, shared.settings)
    return ParsedRequest(job, wait, wait.seconds, key)


async def _present(request: Request, accepted: Accepted, wait: Wait) -> Response:
    job, large = accepted.job, services(request).large
    headers = {"location": job.urls["self"]}
    if accepted.replayed:
        headers["idempotency-replayed"] = "true"
    if wait.seconds and job.status.terminal:
        return await job_reply(large, job, 200, headers | wait.applied)
    return await job_reply(large, job, 202, headers)


SUBMIT_CALL = Call(_parse, _present)


@direct.post("/v1/jobs", status_code=202, **SUBMIT)
async def create_job(request: Request) -> Response:
    """Submits a job. Answers at once, or waits for the job's end if a wait is requested."""
    return await services(request).intake.run(request, SUBMIT_CALL)


@router.get("/v1/jobs", **LIST)
async def list_jobs(
    shared: Shared,
    caller: Asking,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Maximum jobs on the page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next` of the previous page.")] = None,
    state: States = (),
    model: Models = (),
) -> Response:
    """Lists the caller's jobs, the newest first, without results. `state` and `model` filter the list.

    A page examines at most the newest 300 jobs after its cursor. With a filter it may therefore be short or
    empty and still have a `next`: older jobs are on the next page.
    """
    wanted = query.listing_filter(state, model, shared.catalog)
    found, after = await shared.ledger.recent(limit, cursor, wanted, sees=caller.sees)
    return reply({"jobs": found, "next": after})


@direct.get("/v1/jobs/{job_id}", **READ)
async def read_job(request: Request) -> Response:
    """Returns the job: at once, or with a wait as soon as it is done or the wait ends."""
    job, wait = await _waited(request)
    headers = wait.applied if job.status.terminal else None
    return await job_reply(services(request).large, job, headers=headers)


@direct.get("/v1/jobs/{job_id}/result", **RESULT)
async def read_result(request: Request) -> Response:
    """Returns only the results, one for each input, in the order of the inputs."""
    job, wait = await _waited(request)
    return await replies.results(services(request).large, job, wait.applied)


async def _waited(request: Request) -> tuple[Job, Wait]:
    """Returns the job of the path, once it is done or the requested wait ends, and that wait."""
    shared, wait = services(request), requested_wait(request)
    job_id = request.path_params["job_id"]
    job = await shared.waiting.read(job_id, wait.seconds, request)
    return job, wait


@router.get("/v1/jobs/{job_id}/results", response_class=Response, **KNOWN_RESULTS)
async def read_known_results(
    job_id: str,
    request: Request,
    shared: Shared,
    after: Annotated[
        int, Query(alias="from", ge=0, le=MAX_INPUTS, description="Results that the client has read.")
    ] = 0,
    form: Annotated[
        known_results.Format | None,
        Query(alias="format", description="`ndjson` is as `Accept: application/x-ndjson`."),
    ] = None,
    wait: Annotated[
        float,
        Query(
            ge=0,
            allow_inf_nan=False,
            description="Seconds, at most until the job's end. With `ndjson` results follow as they become"
            " known, without it all come then. The server may have a lower limit.",
        ),
    ] = 0.0,
) -> Response:
    """Returns the known results of the job's inputs, also while it runs, in the order of their completion.

    After N results, request the rest with `from=N`. Each result names its input by `index`. A returned result
    is final, unless the job is cancelled or has more results than may be kept.
    With `Accept: application/x-ndjson` each result is one line. All results were sent if the header
    `X-Batchline-Status` has a state in which a job is done.
    """
    asked = known_results.Asked(after, form, wait)
    return await known_results.response(shared, job_id, asked, request)


@router.delete("/v1/jobs/{job_id}", **CANCEL)
async def cancel_job(job_id: str, shared: Shared, caller: Asking) -> Response:
    """Cancels the job unless it is done. A batch that is running continues, but its result is dropped."""
    job = await shared.ledger.cancel(job_id, sees=caller.sees)
    if not allows(caller, "read"):  # it may have ended, perhaps submitted with another key of the owner
        job = replace(job, results=None)
    return await job_reply(shared.large, job)


@router.get("/v1/jobs/{job_id}/events", response_class=Response, **EVENTS)
async def follow_job(job_id: str, request: Request, shared: Shared) -> Response:
    """Streams the job as Server-Sent Events: as it is, then after each change. Ends when the job is done."""
    last_id = request.headers.get("last-event-id")
    source = Events(shared.ledger, shared.subscriber, shared.large, shared.wait_limit)
    return await events.stream(source, job_id, last_id, request)
