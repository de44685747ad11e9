"""/health/live, /health/ready, /metrics: for probes and Prometheus. For people: `api/pages/overview.py`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import Response

from api.health.reasons import Level, level_of
from api.services import Asking, Shared
from api.v1.openapi import LIVE, READY
from api.v1.replies import reply
from bulk.batches.metrics import BulkCollector
from hooks.metrics import HookCollector
from jobs.errors import QueueUnavailable
from jobs.monitoring.metrics import LedgerCollector
from jobs.monitoring.owner_metrics import OwnerCollector

router = APIRouter(tags=["health"])

T = TypeVar("T")

SCRAPE_TIMEOUT = 2.0
"""Seconds within which Redis must answer a scrape."""

STATUS: dict[Level, str] = {"good": "ready", "warn": "degraded", "bad": "not ready"}

LEVELS: dict[Level, str] = {"good": "good", "warn": "degraded", "bad": "bad"}
"""The name of each level in a check."""


@router.get("/health/live", **LIVE)
async def live() -> Response:
    """Reports that this process answers. Does not check Redis: restarting the process would not fix Redis."""
    return reply({"status": "live"})


@router.get("/health/ready", **READY)
async def ready(shared: Shared, caller: Asking) -> Response:
    """Reports whether jobs can be accepted and run, and what is wrong. The status page reports the same."""
    condition = shared.observer.judged(await shared.observer.observe(), sees=caller.sees)
    checks: dict[str, dict[str, bool | str]] = {}
    for name, reasons in condition.checks.items():
        level = level_of(reasons)
        checks[name] = {"ok": level != "bad", "level": LEVELS[level]}
        if reasons:
            checks[name]["reason"] = "; ".join(reason.text for reason in reasons)
    body = {"status": STATUS[condition.level], "checks": checks}
    return reply(body, 503 if condition.level == "bad" else 200)


@router.get("/metrics", include_in_schema=False)
async def metrics(shared: Shared, caller: Asking) -> Response:
    """Metrics in Prometheus' text format: of the processes on this port, the queue and every live worker.

    Those of owners are for admins, also where another resolver than that of the keys lets others in.
    """
    admin = caller.sees is None
    try:
        async with asyncio.timeout(SCRAPE_TIMEOUT):
            shards = shared.ledger.shards
            depths = await shards.depth()
            workers = await shared.roster.workers(fresh=True) if shards.first.available else None
            owners = await shared.owner_totals.read() if admin and shards.first.available else {}
        footprints = await shared.footprints.read()
        unavailable = len(shards.unavailable())
        hooks, bulk = await _or_none(shared.hooks.figures()), await _or_none(shared.batches.figures())
        ledger = LedgerCollector(depths, workers, shared.settings, footprints, unavailable)
    except (QueueUnavailable, TimeoutError):
        ledger, owners, hooks, bulk = LedgerCollector(None, None, shared.settings), {}, None, None
    scraped = CollectorRegistry()
    scraped.register(ledger)
    scraped.register(OwnerCollector(owners))
    scraped.register(HookCollector(hooks))
    scraped.register(BulkCollector(bulk))
    body = shared.metrics.exposition() + generate_latest(scraped)
    return Response(body, headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE_LATEST)


async def _or_none(figures: Coroutine[Any, Any, T]) -> T | None:
    """Some figures; None if they cannot be read, because the rest can."""
    try:
        async with asyncio.timeout(SCRAPE_TIMEOUT):
            return await figures
    except (QueueUnavailable, TimeoutError):
        return None
