"""Whether a model's jobs can be run now, for the pages of its jobs and the form at /try."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.health.condition import UNREACHABLE, failing, unserved
from api.health.failing import SAMPLES, WINDOW
from api.health.reasons import Reason
from api.health.redis_timeout import redis_timeout
from api.pages.rendering import page
from api.services import Asking, Services, Shared
from jobs.errors import QueueUnavailable

router = APIRouter(include_in_schema=False)


@router.get("/fragments/served")
async def served(request: Request, shared: Shared, caller: Asking) -> Response:
    """Why the jobs of `?model=NAME` cannot be run, if so. By default of the default model."""
    model = shared.catalog.get(request.query_params.get("model", "")).name
    return page("fragments/served.html", reason=await fault(shared, model, caller.sees))


async def fault(shared: Services, model: str, sees: str | None) -> Reason | None:
    """The health line's reason why the model's jobs cannot be run or many inputs fail, or None.

    `sees`: the owner whose jobs the caller may see, None for all; others see no errors of the server.
    """
    try:
        async with redis_timeout():
            series = (await shared.history.read([model], newest=SAMPLES))[model]
            beats = [beat for beat in await shared.roster.workers(fresh=True) if beat.model == model]
    except QueueUnavailable:
        return UNREACHABLE.reasons[0]
    reason = unserved(model, beats) or failing(model, series.lately(WINDOW, beats)[0])
    return reason and reason.for_caller(sees)
