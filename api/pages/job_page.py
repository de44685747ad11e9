"""A job's page: its state, timeline, inputs and results, and curl commands that fetch or repeat it."""

from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.pages import curl_lines, model_status
from api.pages.forms import by_htmx, refuse_cross_site
from api.pages.output_rows import Shown, shortened, shown
from api.pages.rendering import page
from api.pages.visuals import Picture, picture
from api.problems.exceptions import problem_of
from api.services import Services, Shared
from jobs import tasks
from jobs.errors import JobGone, JobNotFound, QueueUnavailable
from jobs.ledger.reading import BARELY
from jobs.ledger.views import SHOWN, Asked
from jobs.schema import Job

router = APIRouter(include_in_schema=False)

MOST_RESULTS = 512 * 1024
"""Maximum bytes of results that a page decodes. Larger results are linked as JSON."""
HOLD = 1.0
"""Seconds that a refresh waits for the job's end, so that the page shows the end at once."""
STOP_POLLING = 286
"""The HTTP status at which htmx stops polling."""


class Pair(NamedTuple):
    """One input and its result. None means unknown, or not known yet."""

    input: str | None
    result: dict[str, Any] | None
    view: Shown | None
    picture: Picture


@router.get("/jobs/{job_id}")
async def job_page(job_id: str, request: Request, shared: Shared) -> Response:
    return await _shown(request, shared, job_id, "job.html", "missing.html")


@router.get("/fragments/jobs/{job_id}")
async def job_fragment(job_id: str, request: Request, shared: Shared) -> Response:
    """The fragment that a job page polls until the job is done. Answers at its end or after HOLD seconds."""
    return await _shown(request, shared, job_id, "fragments/job.html", "fragments/missing.html", HOLD)


@router.post("/jobs/{job_id}/cancel")
async def cancel(job_id: str, request: Request, shared: Shared) -> Response:
    """Cancels the job: the cancel button, with and without JavaScript."""
    refuse_cross_site(request)
    job = await shared.ledger.cancel(job_id, BARELY)
    if by_htmx(request):
        return await _shown(request, shared, job_id, "fragments/job.html", "fragments/missing.html")
    return RedirectResponse(job.urls["page"], 303)


async def _shown(
    request: Request, shared: Services, job_id: str, template: str, missing: str, hold: float = 0.0
) -> Response:
    """A job as a page or a fragment, or a page with the reason if the job cannot be shown."""
    try:
        job = await shared.waiting.follow(job_id, partial(shared.ledger.read, job_id), hold, request)
        if job.results is msgspec.UNSET:
            job = await shared.ledger.read(job_id, MOST_RESULTS)
        reason = await model_status.fault_of(shared, job)
        # last, so that the inputs are not in memory during a wait
        asked = await shared.ledger.asked(job_id)
    except (JobNotFound, JobGone, QueueUnavailable) as error:
        problem = problem_of(error)
        # Redis may return, so the page continues to poll
        retry = f"/fragments/jobs/{quote(job_id)}" if isinstance(error, QueueUnavailable) else None
        told = {"title": problem.title, "detail": problem.detail, "job_id": shortened(job_id)}
        return page(missing, problem.status, retry=retry, **told)
    results = decoded(job)
    both = pairs(asked, results, SHOWN, task_of(shared, job))
    done = STOP_POLLING if job.status.terminal and hold else 200
    return page(
        template,
        done,
        job=job,
        reason=reason,
        pairs=both,
        hidden=job.counts.total - len(both),
        too_large=job.results is not None and not results,
        not_read=asked.size,
        forgotten=not asked.inputs,
        fetch=curl_lines.fetch(request, job.urls["self"]),
        again=again(request, job, asked),
    )


def decoded(job: Job, most: int = MOST_RESULTS) -> list[dict[str, Any]]:
    """The job's results; [] if there are none or they have more than `most` bytes."""
    if not isinstance(job.results, msgspec.Raw) or len(memoryview(job.results)) > most:
        return []
    results: list[dict[str, Any]] = msgspec.json.decode(job.results)
    return results


def task_of(shared: Services, job: Job) -> tasks.Task:
    """The task of the job's model, or a custom task if the model is no longer served."""
    spec = shared.catalog.specs.get(job.model)
    return spec.definition if spec else tasks.custom_task("json", {})


def pairs(asked: Asked, results: list[dict[str, Any]], most: int, task: tasks.Task) -> list[Pair]:
    """Inputs with their results, at most `most`."""
    found = []
    for i in range(min(most, max(len(asked.inputs), len(results)))):
        given = asked.inputs[i] if i < len(asked.inputs) else None
        result = results[i] if i < len(results) else None
        known = i < len(asked.inputs) and given is not msgspec.UNSET
        readable = shortened(task.input.show(given)) if known else None
        view = shown(result, task.output, given) if result else None
        found.append(Pair(readable, result, view, picture(result, given, task.output)))
    return found


def again(request: Request, job: Job, asked: Asked) -> str | None:
    """The command that submits the job again, or None if it is too long or the inputs are not known."""
    if not asked.inputs or asked.partial:
        return None
    inputs = asked.inputs[0] if asked.single else asked.inputs
    body = {"model": job.model, "inputs": inputs}
    return curl_lines.submit(request, body | ({"parameters": asked.parameters} if asked.parameters else {}))
