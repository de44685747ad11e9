"""The overview: health, tables of all models and workers, recent jobs; charts if only one model is served."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.pages.fragments import drawn, no_jobs, recent, status, status_of
from api.pages.job_table import Filters, filters, state_links, url
from api.pages.model_page import RECENT, path_of
from api.pages.rendering import page
from api.services import Asking, Shared
from jobs.errors import QueueUnavailable

router = APIRouter(include_in_schema=False)


@router.get("/")
async def overview_page(request: Request, shared: Shared, caller: Asking) -> Response:
    """The overview. The URL has the filters of the recent jobs: `?state=failed&model=NAME`.

    In earlier releases it also had the model of the charts, which are now on the model's page.
    """
    names = list(shared.catalog.specs)
    given = filters(request.query_params, names)
    if (charted := request.query_params.get("charts", "")) in names:
        return RedirectResponse(url(path_of(charted), Filters(given.state)), 303)
    only = names[0] if len(names) == 1 else None
    links = [state_links("/", given, RECENT)]  # the jobs of a model are on its page
    context = await status(shared, sees=caller.sees)
    try:
        if not context["away"]:
            context |= await recent(shared, given, sees=caller.sees)
            charts = await drawn(shared, only) if only else []
            return page("overview.html", **context, drawn=charts, charted=only, links=links)
    except QueueUnavailable:  # Redis became unavailable after the first read
        context = status_of(shared, None, sees=caller.sees)
    context |= no_jobs(given)
    return page("overview.html", 503, **context, drawn=[], charted=only, links=links)
