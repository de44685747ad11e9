"""/health/live, /health/ready and /metrics: what machines ask. What people look at is `api/overview.py`."""

import asyncio
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from redis.exceptions import RedisError
from starlette.responses import Response

from api.deps import Services, Shared
from api.fleet import ABLE
from api.openapi import LIVE, READY
from api.replies import reply
from jobs import durability
from jobs.connection import availability
from jobs.errors import QueueUnavailable
from jobs.metrics import LedgerCollector

router = APIRouter(tags=["health"])

PATIENCE = 2.0
"""Seconds that Redis has to answer a check or a scrape."""


@router.get("/health/live", **LIVE)
async def live() -> Response:
    """Whether this process answers; Redis is not asked, for a restart would not bring it back."""
    return reply({"status": "live"})


@router.get("/health/ready", **READY)
async def ready(shared: Shared) -> Response:
    """Whether jobs can be accepted and run: Redis takes writes, and each model has a worker that is able."""
    checks = {"redis": await _redis_fault(shared)}
    if checks["redis"] is None:
        checks |= await _model_faults(shared)
    fine = not any(checks.values())
    told: dict[str, Any] = {
        name: {"ok": fault is None, **({"reason": fault} if fault else {})} for name, fault in checks.items()
    }
    return reply({"status": "ready" if fine else "not ready", "checks": told}, 200 if fine else 503)


async def _redis_fault(shared: Services) -> str | None:
    """Why Redis cannot hold the queue at this moment, or None."""
    try:
        async with asyncio.timeout(PATIENCE), availability():
            info = await shared.redis.info()
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except (QueueUnavailable, RedisError):
        return "cannot be reached"
    limit = info.get("maxmemory", 0)
    if info.get("role", "master") != "master":
        return "it is a replica and takes no writes"
    if limit and info["used_memory"] >= limit:
        return "its memory is full"
    if not durability.writes(info):
        return "it cannot write its append-only file"
    return None


async def _model_faults(shared: Services) -> dict[str, str | None]:
    """For each model, why no job of it can be run at this moment, or None."""
    try:
        async with asyncio.timeout(PATIENCE):
            workers = await shared.fleet.workers(fresh=True)
    except (QueueUnavailable, TimeoutError):
        return {"redis": "stopped answering"}
    faults: dict[str, str | None] = {}
    for model in shared.queue.models:
        engines = [beat.engine for beat in workers if beat.model == model]
        if not engines:
            faults[f"model {model}"] = "no live worker"
        elif ABLE.isdisjoint(engines):
            faults[f"model {model}"] = f"no engine is ready: {', '.join(sorted(set(engines)))}"
        else:
            faults[f"model {model}"] = None
    return faults


@router.get("/metrics", include_in_schema=False)
async def metrics(shared: Shared) -> Response:
    """In Prometheus' text format: the processes on this port, the queue, every live worker."""
    try:
        async with asyncio.timeout(PATIENCE):
            depths, workers = await shared.queue.depth(), await shared.fleet.workers(fresh=True)
        ledger = LedgerCollector(depths, workers, shared.settings)
    except (QueueUnavailable, TimeoutError):
        ledger = LedgerCollector(None, [], shared.settings)
    scraped = CollectorRegistry()
    scraped.register(ledger)
    body = shared.metrics.exposition() + generate_latest(scraped)
    return Response(body, media_type=CONTENT_TYPE_LATEST)
