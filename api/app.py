"""create_app(settings): builds the services, starts the background tasks, puts the routes together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge import hosts
from api.edge.connections import Connections, Limits
from api.edge.express import Express
from api.edge.hosts import Hosts
from api.edge.memory_budget import Budget
from api.edge.middleware import Edge
from api.health.roster_cache import RosterCache
from api.pages import job_page, model_status, overview, reference, try_page
from api.pages.rendering import STATIC
from api.services import Services, State
from api.sweeper import sweep_for_ever
from api.v1 import health, jobs, models, problems
from api.v1.openapi import describe
from api.waiting.large_results import Large
from api.waiting.subscriber import Subscriber
from api.waiting.waiting import Waiting
from jobs.ledger.ledger import Ledger
from jobs.models import ModelCatalog, load_catalog
from jobs.monitoring.history import History
from jobs.monitoring.metrics import ApiMetrics
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from jobs.store.connection import cancel, connect

PROBES = ("/health/live", "/health/ready")
"""Asked by address, whatever names are allowed; nothing in their answers is worth a trick."""

PAGES = (overview.router, job_page.router, try_page.router, model_status.router)


class App(FastAPI):
    """FastAPI, the express lane beside it, and what looks at the host before both."""

    hosts: Hosts
    refused: ASGIApp
    lane: Express
    express: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (self.hosts.serve(scope) or scope["path"] in PROBES):
            await self.refused(scope, receive, send)
        elif scope["type"] == "http" and self.lane.takes(scope):
            await self.express(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application. Raises ConfigurationError; Redis need not be there yet."""
    catalog = load_catalog(settings.models_file)
    metrics = ApiMetrics(CollectorRegistry())
    metrics.expect(catalog.specs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        services = _services(settings, catalog, metrics)
        background = [
            asyncio.create_task(services.subscriber.run()),
            asyncio.create_task(sweep_for_ever(services.ledger, services.history)),
        ]
        try:
            yield State(services=services)
        finally:
            services.subscriber.release_all()
            await cancel(*background)
            await services.redis.aclose(close_connection_pool=True)

    app = App(
        title="Batchline",
        version=_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would send a client to whatever host its request named
    )
    app.hosts, app.refused = Hosts(settings), Edge(hosts.refused, metrics)
    app.lane = Express(jobs.direct.routes)
    app.express = Edge(app.lane, metrics)
    app.add_middleware(Edge, metrics=metrics)
    problems.install(app)
    for router in (jobs.direct, jobs.router, models.router, health.router, reference.router, *PAGES):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @cache
    def openapi() -> dict[str, Any]:
        return describe(app, catalog)

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _services(settings: Settings, catalog: ModelCatalog, metrics: ApiMetrics) -> Services:
    redis = connect(settings)
    ledger = Ledger(redis, settings, catalog.specs)
    subscriber = Subscriber(redis, metrics.waiters)
    budget = Budget(settings.memory_budget // settings.api_processes)
    return Services(
        settings=settings,
        catalog=catalog,
        redis=redis,
        ledger=ledger,
        history=History(ledger),
        roster=RosterCache(Roster(redis)),
        subscriber=subscriber,
        waiting=Waiting(ledger, subscriber, metrics.waits),
        budget=budget,
        large=Large(ledger.reading, budget),
        connections=Connections(Limits.of_process()),
        metrics=metrics,
    )


def _version() -> str:
    try:
        return version("batchline")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"
