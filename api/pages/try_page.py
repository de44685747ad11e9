"""The page /try: a form for any model, with one input or one per line. Results appear as jobs end.

Each line is a separate job, so that its result appears independently. The lines show how jobs are batched.
A form has a nonce. The jobs' ids are derived from it and the form's content, so sending the same form again
creates no second job, whatever the result of the first attempt.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.intake import Intake
from api.pages import curl_lines, forms, model_status, parameter_fields
from api.pages.job_page import STOP_POLLING
from api.pages.rendering import page
from api.pages.try_jobs import MOST_LINES, lines
from api.problems.exceptions import problem_of
from api.problems.problem import Refusal
from api.services import Services, Shared
from api.v1 import submission
from api.v1.model_schemas import example
from jobs.errors import BatchlineError, InvalidRequest, JobGone, JobNotFound, QueueUnavailable
from jobs.ledger.ids import created_ms, derived, in_a_row, new_id
from jobs.models import ModelCatalog, ModelSpec
from jobs.schema import JobRequest, NewJob

router = APIRouter(include_in_schema=False)


class Asked(NamedTuple):
    """The form's jobs, and the same inputs as one request."""

    jobs: list[NewJob]
    together: dict[str, Any]


@router.get("/try")
async def try_page(request: Request, shared: Shared) -> Response:
    return await _form_page(request, shared, {"model": request.query_params.get("model", "")})


@router.post("/try")
async def choose_model(request: Request, shared: Shared) -> Response:
    """The form with another model's fields. It keeps the typed text."""
    form = await forms.read(request, shared.settings.max_request_bytes)
    return await _form_page(request, shared, form)


@router.post("/submit")
async def submit(request: Request, shared: Shared) -> Response:
    """Submits the form's jobs. Without JavaScript it redirects to the page of the job or of the lines."""
    forms.refuse_cross_site(request)
    form: dict[str, str] = {}
    try:
        form |= await forms.read(request, shared.settings.max_request_bytes)
        asked = _asked(form, shared.catalog)
        ids = await _sent(request, shared.intake, asked.jobs, _nonce(form))
        if not forms.by_htmx(request):
            return RedirectResponse(f"/jobs/{ids[0]}" if len(ids) == 1 else _home(ids), 303)
        context = {"page": _home(ids), **await lines(shared, ids)}
    except (BatchlineError, Refusal) as error:
        return await _refused(request, shared, form, error)
    curl = curl_lines.submit(request, asked.together)
    return page("fragments/sent.html", curl=curl, nonce=new_id(), **context)


async def _form_page(
    request: Request, shared: Services, form: Mapping[str, str], status: int = 200, **told: Any
) -> Response:
    context = _form(shared.catalog, form)
    reason = await model_status.fault(shared, context["spec"].name)
    try:
        curl = curl_lines.submit(request, _asked(context["typed"], shared.catalog).together)
    except InvalidRequest:  # the form's content is not valid
        curl = None
    return page("try.html", status, **context | told, reason=reason, curl=curl)


async def _refused(request: Request, shared: Services, form: dict[str, str], error: Exception) -> Response:
    """The form with the error. It keeps its nonce, unless the jobs of that nonce are gone."""
    problem = problem_of(error)
    told = {"fault": problem.detail, "again": isinstance(error, QueueUnavailable)}
    if isinstance(error, JobGone):
        form["nonce"] = new_id()
        told["fault"] = (
            "This was sent before, and its answers are no longer kept: submit it again for new ones"
        )
    if forms.by_htmx(request):
        return page("fragments/refused.html", problem.status, nonce=_nonce(form), **told)
    return await _form_page(request, shared, form, problem.status, **told)


def _nonce(form: Mapping[str, str]) -> str:
    """The form's nonce, or a new one if the form has no valid one."""
    given = form.get("nonce", "")
    return new_id() if created_ms(given) is None else given


@router.get("/tries/{first}")
async def try_lines(first: str, request: Request, shared: Shared) -> Response:
    """The page of lines that were submitted together: `?lines=N` lines, the first job's id in the path."""
    return await _lines(first, request, shared, "tries.html", "missing.html")


@router.get("/fragments/tries/{first}")
async def try_fragment(first: str, request: Request, shared: Shared) -> Response:
    return await _lines(first, request, shared, "fragments/lines.html", "fragments/missing.html")


async def _lines(first: str, request: Request, shared: Services, template: str, missing: str) -> Response:
    try:
        ids = _ids(first, request.query_params.get("lines", "1"))
        shown = await lines(shared, ids)
    except (JobNotFound, JobGone, QueueUnavailable) as error:
        problem = problem_of(error)
        retry = f"/fragments{_home(ids)}" if isinstance(error, QueueUnavailable) else None
        told = {"title": problem.title, "detail": problem.detail, "job_id": first[:100]}
        return page(missing, problem.status, retry=retry, **told)
    finished = shown["done"] == len(ids) and template == "fragments/lines.html"
    status = STOP_POLLING if finished else 200
    together = shown["together"]
    curl = curl_lines.submit(request, together) if together else None
    reason = None if shown["done"] == len(ids) else await model_status.fault(shared, shown["model"])
    return page(template, status, page=_home(ids), curl=curl, reason=reason, **shown)


def _ids(first: str, count: str) -> list[str]:
    wanted = int(count) if count.isdecimal() and len(count) < 5 else 0
    if created_ms(first) is None or not 1 <= wanted <= MOST_LINES:
        raise JobNotFound("there are no lines that were submitted together here")
    return in_a_row(first, wanted)


def _home(ids: list[str]) -> str:
    return f"/tries/{ids[0]}?lines={len(ids)}"


async def _sent(request: Request, intake: Intake, jobs: list[NewJob], nonce: str) -> list[str]:
    """Submits the jobs and returns the ids of all, in order. Raises if none was accepted.

    If the queue was full after some jobs, the page of the lines reports which were not accepted. If Redis did
    not answer for some, raises QueueUnavailable, because it is unknown whether they were accepted.
    Each id is its own idempotency key.
    """
    ids = in_a_row(derived(nonce, msgspec.json.encode(jobs)), len(jobs))
    submits = (intake.submit(request, job, job_id, key=job_id) for job, job_id in zip(jobs, ids, strict=True))
    outcomes = await asyncio.gather(*submits, return_exceptions=True)
    faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    unforeseen = [fault for fault in faults if not isinstance(fault, BatchlineError)]
    unknown = [fault for fault in faults if isinstance(fault, QueueUnavailable)]
    if unforeseen or unknown or len(faults) == len(jobs):
        raise (unforeseen or unknown or faults)[0]
    return ids


def _asked(form: Mapping[str, str], catalog: ModelCatalog) -> Asked:
    """The jobs of the form. Raises InvalidRequest."""
    if "text" not in form:
        raise InvalidRequest("the form has no field named text")
    spec = catalog[form.get("model") or catalog.default.name]
    text = form["text"].replace("\r\n", "\n")
    given = [text]
    if form.get("mode") == "lines":
        given = [line for line in text.split("\n") if line.strip()]
        if not given:
            raise InvalidRequest("there is no line with anything in it")
        if len(given) > MOST_LINES:
            raise InvalidRequest(f"{len(given)} lines are more than the {MOST_LINES} that this page takes")
    inputs = list(_parsed(given)) if spec.definition.input.is_json else given
    parameters = parameter_fields.parameters(spec, form)
    try:
        jobs = [
            submission.accept(JobRequest(inputs=each, model=spec.name, parameters=parameters), catalog)
            for each in inputs
        ]
    except InvalidRequest as error:
        raise parameter_fields.worded(spec, form, error) from None
    together = {"model": spec.name, "inputs": inputs if len(inputs) > 1 else inputs[0]}
    return Asked(jobs, together | ({"parameters": parameters} if parameters else {}))


def _parsed(given: list[str]) -> Iterator[Any]:
    for i, text in enumerate(given):
        try:
            yield msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            which = f"line {i + 1}" if len(given) > 1 else "the input"
            raise InvalidRequest(f'{which} is not valid JSON; a text needs quotes, as in "text"') from None


def _form(catalog: ModelCatalog, form: Mapping[str, str]) -> dict[str, Any]:
    """The data of the form: the typed text, or the model's example if only an example was in the form."""
    spec = catalog.get(form.get("model", ""))
    before = catalog.specs.get(form.get("shown", ""))
    text, mode, parameters = _prefilled(spec)
    typed = form.get("text", "").replace("\r\n", "\n")
    if "text" in form and (before is None or typed != _prefilled(before)[0]):
        text, mode = typed, form.get("mode", "one")
    if "text" in form and (before is None or before is spec):
        parameters = dict(form)
    return {
        "specs": list(catalog.specs.values()),
        "spec": spec,
        "text": text,
        "mode": mode,
        "typed": {**parameters, "model": spec.name, "text": text, "mode": mode},
        "fields": parameter_fields.fields(spec, parameters),
        "most_lines": MOST_LINES,
        "nonce": _nonce(form),
        "fault": None,
    }


def _prefilled(spec: ModelSpec) -> tuple[str, str, dict[str, str]]:
    """The text, mode and parameters of the model's example, as they would be typed."""
    asked = example(spec)
    given = asked["inputs"] if isinstance(asked["inputs"], list) else [asked["inputs"]]
    texts = [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in given]
    if any("\n" in each for each in texts):  # in the mode `lines` it would be several inputs
        del texts[1:]
    return (
        "\n".join(texts),
        "lines" if len(texts) > 1 else "one",
        parameter_fields.typed(asked.get("parameters", {})),
    )
