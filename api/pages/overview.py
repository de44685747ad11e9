"""The overview (status page): health, models, workers, charts and recent jobs.

The page fetches each part as a fragment every second. While Redis cannot be reached, the charts and jobs do
not change, and the page shows how old they are (`live.js`).
"""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.health.condition import SILENT, START
from api.health.observation import Observation
from api.health.redis_timeout import redis_timeout
from api.pages.charts import Chart, charts
from api.pages.job_table import STATES, chosen, recent
from api.pages.model_figures import figures
from api.pages.rendering import page
from api.services import Services, Shared
from jobs.errors import QueueUnavailable
from jobs.ledger import listing

router = APIRouter(include_in_schema=False)


@router.get("/")
async def overview_page(request: Request, shared: Shared) -> Response:
    """The overview. The URL has the filters of the recent jobs: `?state=failed&model=NAME`."""
    filters, context = _filters(request, shared), await _overview(shared)
    try:
        if not context["away"]:
            drawn, jobs = await _charts(filters["charted"], shared), await _recent(request, shared)
            return page("overview.html", **context | jobs, drawn=drawn)
    except QueueUnavailable:  # Redis became unavailable after the first read
        context = _context(shared, None)
    return page("overview.html", 503, **context, **filters, drawn=[], recent=[], searched=None)


@router.get("/fragments/overview")
async def overview(shared: Shared) -> Response:
    """The fragment with health, models and workers."""
    context = await _overview(shared)
    return page("fragments/overview.html", 503 if context["away"] else 200, **context)


@router.get("/fragments/charts")
async def chart_fragment(request: Request, shared: Shared) -> Response:
    """The fragment with the charts of `?charts=NAME`, by default of the default model."""
    try:
        return page(
            "fragments/charts.html", drawn=await _charts(_filters(request, shared)["charted"], shared)
        )
    except QueueUnavailable:
        return Response(status_code=204)  # the page keeps its charts; the health line shows why


@router.get("/fragments/recent")
async def recent_fragment(request: Request, shared: Shared) -> Response:
    try:
        return page("fragments/recent.html", **await _recent(request, shared))
    except QueueUnavailable:
        return Response(status_code=204)


async def _overview(shared: Services) -> dict[str, Any]:
    return _context(shared, await shared.observer.observe())


def _context(shared: Services, seen: Observation | None) -> dict[str, Any]:
    specs = shared.catalog.specs
    return {
        "away": seen is None,
        "condition": shared.observer.judged(seen),
        "models": [figures(spec, seen, shared.settings.result_ttl) for spec in specs.values()]
        if seen
        else [],
        "workers": [beat for beat in seen.beats if beat.model in specs] if seen else [],
        "silent": SILENT,
        "start": START,
    }


async def _charts(model: str, shared: Services) -> list[Chart]:
    async with redis_timeout():  # samples first: a worker's counts are never lower than in earlier samples
        series = (await shared.history.read())[model]
        depths, beats = await shared.ledger.depth(), await shared.roster.workers(fresh=True)
    return charts(series.with_now(depths[model], [beat for beat in beats if beat.model == model]))


async def _recent(request: Request, shared: Services) -> dict[str, Any]:
    filters = _filters(request, shared) | {"away": False}
    async with redis_timeout():
        jobs, cut = await recent(shared, filters["chosen"])
    return {**filters, "recent": jobs, "searched": listing.SEARCHED if cut else None}


def _filters(request: Request, shared: Services) -> dict[str, Any]:
    wanted = chosen(request.query_params, shared.catalog.specs)
    return {
        "chosen": wanted,
        "charted": wanted.charts or shared.catalog.default.name,
        "filters": [wanted._replace(state=state) for state in STATES],
        "names": list(shared.catalog.specs),
    }
