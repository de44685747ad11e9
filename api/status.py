"""The browser's pages: the status page with its form, a job's page, and the fragments that they refresh.

What a page looks like is in `templates/`, how values are worded in `api/rendering.py`.
"""

from typing import Any
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api import submission
from api.catalog import example
from api.deps import Services, Shared
from api.outputs import shortened
from api.problems import ERRORS, KINDS, Refusal, count_refused_admission, detail_of, kind_of
from api.rendering import page
from jobs.errors import BatchlineError, InvalidRequest, JobGone, JobNotFound, QueueUnavailable
from jobs.models import ModelCatalog
from jobs.schema import Job, JobRequest, NewJob

router = APIRouter(include_in_schema=False)

RECENT = 12
"""Jobs in the status page's table."""
MAX_FORM = 256 * 1024
"""Bytes of the form; more is no longer typed, and parsing it would hold up the event loop."""
MOST_INPUTS = 25
"""Inputs that a job's page shows."""
MOST_RESULTS = 512 * 1024
"""Bytes of results that a page decodes; larger ones are offered as JSON."""


@router.get("/")
async def status_page(shared: Shared) -> Response:
    return await _status(shared)


@router.get("/fragments/overview")
async def overview(shared: Shared) -> Response:
    """What the status page fetches every two seconds."""
    context = await _overview(shared)
    return page("fragments/overview.html", 503 if context["away"] else 200, **context)


@router.post("/submit")
async def submit(request: Request, shared: Shared) -> Response:
    """The form without JavaScript: ends at the job's page."""
    refuse_cross_site(request)
    form: dict[str, str] = {}
    try:
        form |= await _form(request, min(MAX_FORM, shared.settings.max_request_bytes))
        job, _ = await shared.queue.submit(_asked(form, shared.catalog))
    except BatchlineError as error:
        count_refused_admission(shared.metrics, error)
        return await _status(shared, KINDS[kind_of(error)].status, form=form, fault=detail_of(error))
    shared.metrics.submitted.labels(job.model).inc()
    return RedirectResponse(job.urls["page"], 303)


@router.get("/jobs/{job_id}")
async def job_page(job_id: str, shared: Shared) -> Response:
    return await _job(shared, job_id, "job.html", "missing.html")


@router.get("/fragments/jobs/{job_id}")
async def job_fragment(job_id: str, shared: Shared) -> Response:
    """What a job's page fetches after each event."""
    return await _job(shared, job_id, "fragments/job.html", "fragments/missing.html")


@router.get("/fragments/jobs/{job_id}/answer")
async def answer(job_id: str, shared: Shared) -> Response:
    """What the status page shows below its form."""
    return await _job(shared, job_id, "fragments/answer.html", "fragments/missing.html")


@router.post("/jobs/{job_id}/cancel")
async def cancel(job_id: str, request: Request, shared: Shared) -> Response:
    """The cancel button without JavaScript."""
    refuse_cross_site(request)
    job = await shared.queue.cancel(job_id)
    return RedirectResponse(job.urls["page"], 303)


def refuse_cross_site(request: Request) -> None:
    """A form needs no permission to post across sites, so the sender is checked here. Raises Refusal."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        same = site in ("same-origin", "none")
    else:  # a browser without that header names at least the origin; other clients name neither
        same = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not same:
        raise Refusal("cross-site", "this form may be sent from this server's own pages only")


async def _status(
    shared: Services, status: int = 200, *, form: dict[str, str] | None = None, fault: str | None = None
) -> Response:
    context = await _overview(shared)
    choices = [{"spec": spec, "example": _prefilled(example(spec))} for spec in shared.catalog.specs.values()]
    status = 503 if context["away"] and status == 200 else status
    return page("status.html", status, choices=choices, form=form, fault=fault, **context)


async def _overview(shared: Services) -> dict[str, Any]:
    try:
        depths = await shared.queue.depth()
        workers = await shared.fleet.workers()
        recent, _ = await shared.queue.recent(RECENT)
    except QueueUnavailable:
        return {"away": True}
    models = [
        {
            "spec": spec,
            "depth": depths[name],
            "workers": (live := [beat for beat in workers if beat.model == name]),
            "rate": sum(beat.items_per_second for beat in live),
        }
        for name, spec in shared.catalog.specs.items()
    ]
    return {"away": False, "models": models, "recent": recent}


def _prefilled(asked: dict[str, Any]) -> dict[str, str]:
    """An example request as the form's fields."""
    inputs = asked["inputs"][0] if isinstance(asked["inputs"], list) else asked["inputs"]
    parameters = asked.get("parameters")
    return {
        "text": inputs if isinstance(inputs, str) else msgspec.json.encode(inputs).decode(),
        "parameters": msgspec.json.encode(parameters).decode() if parameters else "",
    }


async def _form(request: Request, max_bytes: int) -> dict[str, str]:
    body = await submission.read_body(request, max_bytes)
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError as error:
        raise InvalidRequest(f"the form cannot be read: {error}") from None
    if "text" not in fields:
        raise InvalidRequest("the form has no field named text")
    return {name: values[0] for name, values in fields.items()}


def _asked(form: dict[str, str], catalog: ModelCatalog) -> NewJob:
    """The form's fields as a request. Raises InvalidRequest."""
    spec = catalog[form.get("model") or catalog.default.name]
    text = form["text"]
    inputs = _parsed("the input", text) if spec.input == "json" else text.replace("\r\n", "\n")
    parameters = _parsed("the parameters", form.get("parameters", "").strip() or "{}")
    if not isinstance(parameters, dict):
        raise InvalidRequest("the parameters: give a JSON object")
    return submission.accept(JobRequest(inputs=inputs, model=spec.name, parameters=parameters), catalog)


def _parsed(what: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"{what}: not valid JSON: {error}") from None


async def _job(shared: Services, job_id: str, template: str, missing: str) -> Response:
    """A job in one of its forms; what cannot be shown is told as a page, too."""
    try:
        job = await shared.queue.read(job_id)
        inputs = await shared.queue.inputs(job_id)
    except (JobNotFound, JobGone, QueueUnavailable) as error:
        kind = KINDS[ERRORS[type(error)]]
        return page(missing, kind.status, title=kind.title, detail=detail_of(error), job_id=shortened(job_id))
    results = _results(job)
    pairs = [
        {
            "input": _readable(inputs[i]) if i < len(inputs) else None,
            "result": results[i] if i < len(results) else None,
        }
        for i in range(min(MOST_INPUTS, max(len(inputs), len(results))))
    ]
    return page(
        template,
        job=job,
        pairs=pairs,
        hidden=job.counts.total - len(pairs),
        too_large=job.results is not None and not results,
    )


def _results(job: Job) -> list[dict[str, Any]]:
    if job.results is None or len(bytes(job.results)) > MOST_RESULTS:
        return []
    decoded: list[dict[str, Any]] = msgspec.json.decode(job.results)
    return decoded


def _readable(given: object) -> str:
    return shortened(given if isinstance(given, str) else msgspec.json.encode(given).decode())
