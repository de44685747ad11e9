"""The overview, which people keep open: health, models, workers, charts and recent jobs.

Each part is a fragment that the page fetches again by itself: what is in the queue and who works each second,
the charts as often as there are samples.
"""

import asyncio
from typing import Any

from fastapi import APIRouter
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from api.charts import Chart, charts
from api.condition import AWAY, SILENT, START, condition
from api.deps import Services, Shared
from api.figures import figures
from api.recent import SEARCHED, chosen, recent
from api.rendering import page
from jobs.connection import availability
from jobs.errors import InvalidRequest, QueueUnavailable
from jobs.schema import JobState

router = APIRouter(include_in_schema=False)

PATIENCE = 1.5
"""Seconds that Redis has to answer: nothing on the page may be older than 2 s without its being said."""


@router.get("/")
async def overview_page(request: Request, shared: Shared) -> Response:
    """Filters of the recent jobs stand in the address: `?state=failed&model=NAME`."""
    context = await _overview(shared) | _filters(request, shared)
    if context["away"]:
        return page("overview.html", 503, **context, drawn=[], recent=[], searched=0)
    drawn = await _charts(context["charted"], shared)
    return page("overview.html", **context | await _recent(request, shared), drawn=drawn)


@router.get("/fragments/overview")
async def overview(shared: Shared) -> Response:
    """Health, models and workers."""
    context = await _overview(shared)
    return page("fragments/overview.html", 503 if context["away"] else 200, **context)


@router.get("/fragments/charts")
async def chart_fragment(request: Request, shared: Shared) -> Response:
    """`?charts=NAME` is the model; the default one without."""
    try:
        return page(
            "fragments/charts.html", drawn=await _charts(_filters(request, shared)["charted"], shared)
        )
    except QueueUnavailable:
        return Response(status_code=204)  # the ones there stay; the health line tells why


@router.get("/fragments/recent")
async def recent_fragment(request: Request, shared: Shared) -> Response:
    try:
        return page("fragments/recent.html", **await _recent(request, shared))
    except QueueUnavailable:
        return Response(status_code=204)


async def _overview(shared: Services) -> dict[str, Any]:
    try:
        async with asyncio.timeout(PATIENCE), availability():
            info = await shared.redis.info()
            depths = await shared.queue.depth()
            beats = await shared.fleet.workers(fresh=True)
            history = await shared.history.read()
    except (QueueUnavailable, TimeoutError, RedisError):
        return {
            "away": True,
            "condition": AWAY,
            "models": [],
            "workers": [],
            "silent": SILENT,
            "start": START,
        }
    models = [
        figures(spec, depths[name], [beat for beat in beats if beat.model == name], history[name])
        for name, spec in shared.catalog.specs.items()
    ]
    return {
        "away": False,
        "condition": condition(shared.settings, info, depths, beats),
        "models": models,
        "workers": [beat for beat in beats if beat.model in shared.catalog.specs],
        "silent": SILENT,
        "start": START,
    }


async def _charts(model: str, shared: Services) -> list[Chart]:
    return charts((await shared.history.read())[model])


async def _recent(request: Request, shared: Services) -> dict[str, Any]:
    filters = _filters(request, shared)
    try:
        jobs, searched = await recent(shared, filters["chosen"])
    except InvalidRequest:  # the listing moved on beyond its own page meanwhile
        jobs, searched = [], SEARCHED
    return {**filters, "recent": jobs, "searched": searched}


def _filters(request: Request, shared: Services) -> dict[str, Any]:
    wanted = chosen(request.query_params, shared.catalog.specs)
    return {
        "chosen": wanted,
        "charted": wanted.charts or shared.catalog.default.name,
        "states": [state.value for state in JobState],
        "names": list(shared.catalog.specs),
    }
