"""Whether a model's jobs can be run now, for the pages of its jobs and the form at /try."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.health.condition import UNREACHABLE, Reason, failing, unserved
from api.health.failing import SAMPLES, WINDOW
from api.health.redis_timeout import redis_timeout
from api.pages.rendering import page
from api.services import Services, Shared
from jobs.errors import QueueUnavailable

router = APIRouter(include_in_schema=False)


@router.get("/fragments/served")
async def served(request: Request, shared: Shared) -> Response:
    """Why the jobs of `?model=NAME` cannot be run, if so. By default of the default model."""
    model = shared.catalog.get(request.query_params.get("model", "")).name
    return page("fragments/served.html", reason=await fault(shared, model))


async def fault(shared: Services, model: str) -> Reason | None:
    """The health line's reason why the model's jobs cannot be run or many inputs fail, or None."""
    try:
        async with redis_timeout():
            series = (await shared.history.read([model], newest=SAMPLES))[model]
            beats = [beat for beat in await shared.roster.workers(fresh=True) if beat.model == model]
    except QueueUnavailable:
        return UNREACHABLE.reasons[0]
    return unserved(model, beats) or failing(model, series.lately(WINDOW, beats)[0])
