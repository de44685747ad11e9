"""A model's page: its health, figures, charts and workers, and its recent jobs."""

from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.pages.fragments import drawn, no_jobs, recent, status, status_of
from api.pages.job_table import Filters, filters, state_links, url
from api.pages.reference import docs_path
from api.pages.rendering import page
from api.services import Asking, Shared
from jobs.errors import QueueUnavailable

router = APIRouter(include_in_schema=False)

RECENT = "#recent-jobs"


def path_of(model: str) -> str:
    """The path of the model's page."""
    return f"/models/{quote(model)}"


@router.get("/models/{name:path}")
async def model_page(name: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """The page of a model; an alias, or its name and a slash, leads there. `?state=failed` filters jobs."""
    state = filters(request.query_params, ()).state
    spec = shared.catalog[name.removesuffix("/")]
    path, given = path_of(spec.name), Filters(state, spec.name)
    if name != spec.name:
        return RedirectResponse(url(path, Filters(state)), 303)
    links = [state_links(path, Filters(state), RECENT)]
    context = await status(shared, spec, sees=caller.sees)
    interfaces = [
        (each.title, docs_path(each.name), calls) for each, calls in shared.dialects.for_model(spec)
    ]
    try:
        if not context["away"]:
            context |= await recent(shared, given, sees=caller.sees)
            return page(
                "model.html",
                **context,
                drawn=await drawn(shared, spec.name),
                spec=spec,
                links=links,
                interfaces=interfaces,
            )
    except QueueUnavailable:  # Redis became unavailable after the first read
        context = status_of(shared, None, spec, sees=caller.sees)
    context |= no_jobs(given)
    return page("model.html", 503, **context, drawn=[], spec=spec, links=links, interfaces=interfaces)
