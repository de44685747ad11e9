"""The page /try: a form for any model, with one input or one per line. Answers appear as they become known.

A form has a nonce. The job's id is derived from it, the form's content and the job's owner, so sending the
same form again creates no second job, whatever the result of the first attempt.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.access.caller import caller_of
from api.access.sessions import may
from api.pages import forms, job_page, model_status, try_curl, try_form, try_samples, uploads
from api.pages.file_limits import file_limits
from api.pages.rendering import page
from api.problems.exceptions import problem_of
from api.problems.problem import Refusal
from api.services import Services, Shared
from jobs.errors import BatchlineError, InvalidRequest, JobGone, QueueUnavailable
from jobs.ledger.ids import derived

router = APIRouter(include_in_schema=False)


@router.get("/try")
async def try_page(request: Request, shared: Shared) -> Response:
    return await _form_page(request, shared, {"model": request.query_params.get("model", "")})


@router.post("/try")
async def choose_model(request: Request, shared: Shared) -> Response:
    """The form with another model's fields. It keeps the typed text."""
    sent = await uploads.read(request, shared.settings.max_request_bytes)
    return await _form_page(request, shared, sent.fields)


@router.post("/submit")
async def submit(request: Request, shared: Shared) -> Response:
    """Submits the form's job. Without JavaScript it redirects to the job's page, if the key may read it."""
    forms.refuse_cross_site(request)
    form: dict[str, str] = {}
    try:
        sent = await uploads.read(request, shared.settings.max_request_bytes)
        form |= sent.fields
        forms.check_token(request, form)
        new = try_form.job(form, shared.catalog, sent.files)
        sender = caller_of(request.scope).sender
        nonce = try_form.nonce(form) or await shared.ledger.new_id(sender)
        job_id = derived(nonce, try_form.content(new) + sender.owner.encode())
        job_id = await shared.ledger.at_home(job_id, sender)
        job, _ = await shared.intake.submit(request, new, job_id, key=job_id)
        can_read = "read" in may(request.scope)
        if not forms.by_htmx(request):
            if can_read:
                return RedirectResponse(job.urls["page"], 303)
            form["nonce"] = await shared.ledger.new_id(sender)
            return await _form_page(request, shared, form, job=job)
        context = await job_page.context(request, shared, job) if can_read else {"job": job}
    except (BatchlineError, Refusal) as error:
        return await _refused(request, shared, form, error)
    spec = shared.catalog[new.model]
    found = await try_samples.samples(request, form, shared.catalog, sent.files or try_curl.names(spec, {}))
    return page(
        "fragments/sent.html",
        samples=found,
        client=try_samples.chosen(form, found),
        nonce=await shared.ledger.new_id(caller_of(request.scope).sender),
        **context,
    )


async def _form_page(
    request: Request, shared: Services, form: Mapping[str, str], status: int = 200, **more: Any
) -> Response:
    context = try_form.context(shared.catalog, form)
    context["nonce"] = try_form.nonce(form) or await shared.ledger.new_id(caller_of(request.scope).sender)
    reason = await model_status.fault(shared, context["spec"].name, caller_of(request.scope).sees)
    typed = context["typed"]
    found = await try_samples.samples(request, typed, shared.catalog, try_curl.names(context["spec"], typed))
    context |= {"samples": found, "client": try_samples.chosen(form, found)}
    # a form has other fields as well
    most = shared.settings.max_request_bytes - forms.MAX_FORM // 4
    context["limits"] = {
        field.name: file_limits(context["spec"], field, most) for field in context["inputs"] if field.is_media
    }
    return page("try.html", status, **{"job": None} | context | more, reason=reason)


async def _refused(request: Request, shared: Services, form: dict[str, str], error: Exception) -> Response:
    """The form with the error at its field, or the error beside the form if it belongs to no field.

    The form keeps its nonce, unless the job of that nonce is gone.
    """
    problem = problem_of(error)
    if isinstance(error, InvalidRequest) and (at_field := try_form.errors(error, form, shared.catalog)):
        answer = await _form_page(request, shared, form, problem.status, errors=at_field)
        # htmx replaces the form, not the answer beside it
        answer.headers.update({"hx-retarget": "#try", "hx-reselect": "#try", "hx-reswap": "morph:outerHTML"})
        return answer
    text = {"fault": problem.detail, "again": isinstance(error, QueueUnavailable)}
    if isinstance(error, JobGone):
        form["nonce"] = await shared.ledger.new_id(caller_of(request.scope).sender)
        text["fault"] = "This was sent before, and its results are no longer kept. Send it again to rerun it."
    if forms.by_htmx(request):
        # a form that was not read keeps the nonce that it has in the browser
        return page("fragments/refused.html", problem.status, nonce=form.get("nonce"), **text)
    return await _form_page(request, shared, form, problem.status, **text)
