"""A job's page: its state, progress, timeline, inputs and results, and curl commands for it.

`/fragments/jobs/ID` is the part that changes, `/fragments/answers/ID` the rows alone for the form at /try.
"""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.access.caller import caller_of
from api.access.permissions import allows
from api.pages import curl_lines, forms, job_results, job_rows, submit_again
from api.pages.job_status import status
from api.pages.output_rows import shortened
from api.pages.rendering import page
from api.problems.exceptions import problem_of
from api.services import Asking, Services, Shared
from jobs.errors import JobGone, JobNotFound, QueueUnavailable
from jobs.ledger.reading import STATE_ONLY
from jobs.schema import Job

router = APIRouter(include_in_schema=False)

HOLD = 1.0
"""Seconds that a refresh waits for the job's end, so that the page shows the end at once."""
STOP_POLLING = 286
"""The HTTP status at which htmx stops polling."""


@router.get("/jobs/{job_id}")
async def job_page(job_id: str, request: Request, shared: Shared) -> Response:
    return await _shown(request, shared, job_id, "job.html")


@router.get("/fragments/jobs/{job_id}")
async def job_fragment(job_id: str, request: Request, shared: Shared) -> Response:
    """The fragment that a job page polls until the job is done. Answers at its end or after HOLD seconds."""
    return await _shown(request, shared, job_id, "fragments/job.html", HOLD)


@router.get("/fragments/answers/{job_id}")
async def answers_fragment(job_id: str, request: Request, shared: Shared) -> Response:
    """As `job_fragment`, with the rows only."""
    return await _shown(request, shared, job_id, "fragments/answers.html", HOLD)


@router.post("/jobs/{job_id}/cancel")
async def cancel(job_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Cancels the job: the cancel button, with and without JavaScript."""
    forms.refuse_cross_site(request)
    await forms.check(request, shared.settings.max_request_bytes)
    job = await shared.ledger.cancel(job_id, STATE_ONLY, sees=caller.sees)
    if forms.by_htmx(request) and allows(caller, "read"):
        return await _shown(request, shared, job_id, "fragments/job.html")
    return RedirectResponse(job.urls["page"], 303)


async def _shown(
    request: Request, shared: Services, job_id: str, template: str, hold: float = 0.0
) -> Response:
    """A job as a page or a fragment, or a page with the reason if the job cannot be shown."""
    try:
        job = await shared.waiting.read(job_id, hold, request)
        shown = await context(request, shared, job)
    except (JobNotFound, JobGone, QueueUnavailable) as error:
        problem = problem_of(error)
        # Redis may return, so the page continues to poll
        part = "answers" if template == "fragments/answers.html" else "jobs"
        retry = f"/fragments/{part}/{quote(job_id)}" if isinstance(error, QueueUnavailable) else None
        text = {"title": problem.title, "detail": problem.detail, "job_id": shortened(job_id)}
        missing = "missing.html" if template == "job.html" else "fragments/missing.html"
        return page(missing, problem.status, retry=retry, **text)
    done = shown["job"].status.terminal
    return page(template, STOP_POLLING if done and hold else 200, **shown)


async def context(request: Request, shared: Services, job: Job) -> dict[str, Any]:
    """The data of a job's page. Raises JobNotFound, JobGone or QueueUnavailable."""
    sees = caller_of(request.scope).sees
    job, results = await job_results.results(shared, job, sees)
    now = await status(shared, job, sees)
    # last, so that the inputs are not in memory while the page waits for the rest
    given = await shared.ledger.inputs(job)
    task = job_rows.task_of(shared, job)
    rows = job_rows.rows(job, given, results, task)
    return {
        "job": job,
        "done": job.counts.succeeded + job.counts.failed,
        "reason": now.reason,
        "worker": now.worker,
        "rows": rows,
        "fetch": curl_lines.fetch(request, job.urls["self"]),
        "again": submit_again.line(request, job, given, task.input),
    }
