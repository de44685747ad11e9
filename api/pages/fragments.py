"""The fragments that the status pages fetch each second, and the data of each.

`overview.py` and `model_page.py` show the same data when a page is loaded. While Redis cannot be reached, the
charts and jobs do not change, and the page shows how old they are (`live.js`).
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.health.condition import SILENT, START
from api.health.observation import Observation
from api.health.reasons import Condition
from api.health.redis_timeout import redis_timeout
from api.pages.charts import Chart, charts, trend
from api.pages.job_table import Filters, filters, url
from api.pages.memory_figure import memory_figure
from api.pages.model_figures import figures
from api.pages.rendering import page
from api.services import Asking, Services, Shared
from jobs.errors import QueueUnavailable
from jobs.ledger import listing
from jobs.models import ModelSpec

router = APIRouter(include_in_schema=False)

SHOWN = 8
"""Maximum recent jobs on a status page."""


@router.get("/fragments/overview")
async def overview_fragment(request: Request, shared: Shared, caller: Asking) -> Response:
    """The fragment with health, models and workers; with `?model=NAME` the figures of that model."""
    name = request.query_params.get("model")
    spec = None if name is None else shared.catalog[name]
    context = await status(shared, spec, sees=caller.sees)
    template = "fragments/overview.html" if spec is None else "fragments/model.html"
    return page(template, 503 if context["away"] else 200, **context)


@router.get("/fragments/charts")
async def charts_fragment(request: Request, shared: Shared) -> Response:
    """The fragment with the charts of `?model=NAME`."""
    spec = shared.catalog[request.query_params.get("model", "")]
    try:
        return page("fragments/charts.html", drawn=await drawn(shared, spec.name))
    except QueueUnavailable:
        return Response(status_code=204)  # the page keeps its charts; the health line shows why


@router.get("/fragments/recent")
async def recent_fragment(request: Request, shared: Shared, caller: Asking) -> Response:
    """The fragment with the recent jobs that match `?state=STATE&model=NAME`."""
    given = filters(request.query_params, shared.catalog.specs)
    try:
        return page("fragments/recent.html", **await recent(shared, given, sees=caller.sees))
    except QueueUnavailable:
        return Response(status_code=204)


async def status(shared: Services, spec: ModelSpec | None = None, *, sees: str | None) -> dict[str, Any]:
    """The data of the fragment with health, models and workers: of all models, or of one.

    Figures are of the jobs of all owners, errors only for callers who may see all of these.
    """
    seen = await shared.observer.observe()
    if seen is None:
        return status_of(shared, None, spec, sees=sees)
    if spec is not None:
        context = status_of(shared, seen, spec, sees=sees)
        [model] = context["models"]
        footprint = (await shared.footprints.read()).get(spec.name)
        return context | {"memory": memory_figure(footprint, model.jobs_rate, seen)}
    waiting: Mapping[str, list[tuple[float, int]]] = {}
    if shared.ledger.shards.first.available:
        try:
            async with redis_timeout():
                waiting = await shared.history.waiting()
        except QueueUnavailable:
            return status_of(shared, None, sees=sees)
    now = {name: series.now for name, series in seen.history.items()}
    context = status_of(shared, seen, sees=sees)
    names_and_jobs = [(model.spec.name, model.waiting) for model in context["models"]]
    trends = {name: trend(waiting.get(name, []), now[name], jobs) for name, jobs in names_and_jobs}
    return context | {"trends": trends}


def status_of(
    shared: Services, seen: Observation | None, spec: ModelSpec | None = None, *, sees: str | None
) -> dict[str, Any]:
    """As `status`, from an observation and without trends; None if Redis cannot be reached."""
    specs = shared.catalog.specs if spec is None else {spec.name: spec}
    condition = shared.observer.judged(seen, sees=sees)
    about = {"redis", *(f"model {name}" for name in specs)}
    condition = Condition({name: found for name, found in condition.checks.items() if name in about})
    lifetime = shared.settings.result_ttl
    return {
        "away": seen is None,
        "condition": condition,
        "memory": None,
        "models": [figures(each, seen, lifetime, sees=sees) for each in specs.values()] if seen else [],
        "workers": [beat for beat in seen.beats if beat.model in specs] if seen else [],
        "silent": SILENT,
        "start": START,
    }


async def drawn(shared: Services, model: str) -> list[Chart]:
    """The model's charts. Raises QueueUnavailable."""
    async with redis_timeout():  # samples first: a worker's counts are never lower than in earlier samples
        series = (await shared.history.read([model]))[model]
        depths, beats = await shared.ledger.shards.depth(), await shared.roster.workers(fresh=True)
    return charts(series.with_now(depths[model], [beat for beat in beats if beat.model == model]))


async def recent(shared: Services, given: Filters, *, sees: str | None) -> dict[str, Any]:
    """The data of the fragment with the newest jobs that match the filters. Raises QueueUnavailable."""
    async with redis_timeout():
        found, after = await shared.ledger.recent(SHOWN, None, given.filter, sees=sees)
    searched = listing.SEARCHED if len(found) < SHOWN and after is not None else None
    return no_jobs(given) | {"away": False, "jobs": found, "searched": searched}


def no_jobs(given: Filters) -> dict[str, Any]:
    """As `recent`, while Redis cannot be reached."""
    return {
        "away": True,
        "given": given,
        "jobs": [],
        "searched": None,
        "all_jobs": url("/jobs", given),
        "refresh": url("/fragments/recent", given),
    }
