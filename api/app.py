"""create_app(settings): creates the services, background tasks and routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.access import access, is_open
from api.access.admin_keys import AdminKeys
from api.access.caller import Anonymous, Resolver, admit
from api.access.forwarding import Proxies
from api.dialect import Dialect, Dialects
from api.dialects.huggingface.interface import HuggingFace
from api.dialects.openai.interface import OpenAI
from api.dialects.rerank.interface import RerankInterface
from api.dialects.tei.interface import TeiInterface
from api.edge import cross_origin
from api.edge.connections import Connections, Limits
from api.edge.express import Express
from api.edge.hosts import Hosts
from api.edge.memory_budget import Budget
from api.edge.middleware import Edge
from api.edge.state import EdgeState
from api.health.footprint_cache import FootprintCache
from api.health.observation import Observer
from api.health.roster_cache import RosterCache
from api.intake import Intake
from api.links import Links
from api.openapi import Descriptions
from api.pages import rendering
from api.pages.interface import Pages
from api.pages.rendering import STATIC
from api.problems.exceptions import EXPECTED
from api.refusals import Refusals
from api.services import Services, State
from api.v1.interface import OwnInterface
from api.waiting.large_results import LargeResults
from api.waiting.subscriber import Subscriber
from api.waiting.wait_limit import WaitLimit
from api.waiting.waiting import Waiting
from bulk.batches.batches import Batches
from bulk.files.files import Files
from bulk.storage.storage import Storage
from hooks.service import Hooks
from jobs.catalog import ModelCatalog, load_catalog
from jobs.ledger.ledger import Ledger
from jobs.ledger.shards import Shards
from jobs.monitoring.history import History
from jobs.monitoring.link_metrics import LinkMetrics
from jobs.monitoring.metrics import ApiMetrics
from jobs.monitoring.owner_metrics import OwnerTotals
from jobs.monitoring.roster import Roster
from jobs.monitoring.upkeep import Upkeep
from jobs.monitoring.usage import Usage
from jobs.settings import Settings
from jobs.store.connection import cancel
from jobs.store.store import open_store

log = structlog.get_logger(__name__)

DIALECTS: tuple[Dialect, ...] = (
    OwnInterface(),
    OpenAI(),
    HuggingFace(),
    RerankInterface(),
    TeiInterface(),
    Pages(),
)
"""All served interfaces. Add a new one here."""


class App(FastAPI):
    """FastAPI and the express lane, with the checks of host and caller before both."""

    hosts: Hosts
    resolver: Resolver
    proxies: Proxies | None
    """The proxies whose forwarded headers are believed."""
    refusals: Refusals
    descriptions: Descriptions
    lane: Express
    express: ASGIApp
    """The lane, wrapped in the edge's middleware."""
    edge: Callable[[ASGIApp], Edge]
    """Wraps an application in the middleware of every answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        try:
            if self.proxies is not None:
                self.proxies.apply(scope)
            self.hosts.check(scope)
            await admit(scope, self.resolver)
        except Exception as error:
            await self.edge(partial(self._refuse, error))(scope, receive, send)
            return
        if self.lane.takes(scope):
            await self.express(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _refuse(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        if not isinstance(error, EXPECTED):
            raise error  # the edge answers and logs bugs
        response = await self.refusals.answer(Request(scope, receive), error)
        await response(scope, receive, send)


class CrossOriginApp(App):
    """An App for pages of other origins (CORS). It is used only if other origins are allowed."""

    cross_origin: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.hosts.serve(scope):
            await self.cross_origin(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    settings: Settings, *, dialects: Sequence[Dialect] = DIALECTS, resolver: Resolver | None = None
) -> FastAPI:
    """The ASGI application. Raises ConfigurationError. Redis need not be running yet."""
    catalog = load_catalog(settings.models_file)
    admin_keys = AdminKeys(settings)
    rendering.show_open(is_open(settings))
    rendering.show_owners(settings.auth == "keys" or bool(settings.owner_header))
    known = Dialects(dialects)
    storage = Storage(settings)
    metrics = ApiMetrics(CollectorRegistry())
    metrics.expect(catalog.specs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        services = _services(settings, catalog, metrics, admin_keys, known, storage)
        app.resolver = resolver or services.access.resolver
        if services.access.ring is not None:
            services.access.ring.on_end(lambda _: services.subscriber.reread_all())
        background = [
            *await services.access.begin(),
            asyncio.create_task(services.subscriber.run()),
            asyncio.create_task(services.wait_limit.run()),
            await services.hooks.listeners.begin(),
            asyncio.create_task(services.hooks.backlog.watch()),
            asyncio.create_task(Upkeep(services.ledger.shards, log).run()),
        ]
        try:
            connections = Connections(Limits.of_process())
            yield State(
                services=services,
                edge=EdgeState(services.budget, connections, services.subscriber.release_all),
            )
        finally:
            services.subscriber.release_all()
            await cancel(*background)
            await services.links.aclose()
            await services.store.aclose()

    app = (CrossOriginApp if settings.cors_origins else App)(
        title="Batchline",
        version=_version(),
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would use the host of the request
    )
    refusals = Refusals(known, metrics)
    refusals.install(app)
    app.hosts, app.resolver, app.refusals = Hosts(settings), resolver or Anonymous(), refusals
    app.proxies = Proxies(settings.trusted_proxies) if settings.trusted_proxies else None
    app.lane = Express(known.routes, refusals.answer)
    app.edge = partial(Edge, metrics=metrics, refuse=refusals.answer)
    app.express = app.edge(app.lane)
    if isinstance(app, CrossOriginApp):
        app.cross_origin = cross_origin.with_cors(settings.cors_origins or "", partial(App.__call__, app))
    app.add_middleware(Edge, metrics=metrics, refuse=refusals.answer)
    for dialect in dialects:
        for router in dialect.routers:
            app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    app.descriptions = Descriptions(app, dialects, catalog)
    app.openapi = partial(app.descriptions.of, OwnInterface.name)  # type: ignore[method-assign]
    return app


def _services(
    settings: Settings,
    catalog: ModelCatalog,
    metrics: ApiMetrics,
    admin_keys: AdminKeys,
    dialects: Dialects,
    storage: Storage,
) -> Services:
    store = open_store(settings)
    ledger = Ledger(Shards(store, settings, catalog.specs))
    subscriber = Subscriber(store.events, metrics.waiters)
    history, roster = History(ledger.shards), RosterCache(Roster(ledger.shards.first))
    wait_limit = WaitLimit(ledger.shards.first, subscriber.process, metrics.limited)
    waiting = Waiting(ledger, subscriber, metrics.waits, wait_limit)
    memory = settings.memory_budget // settings.api_processes
    budget = Budget(memory - memory // 16, small=memory // 16)
    return Services(
        settings=settings,
        catalog=catalog,
        store=store,
        ledger=ledger,
        history=history,
        roster=roster,
        subscriber=subscriber,
        waiting=waiting,
        wait_limit=wait_limit,
        budget=budget,
        large=LargeResults(ledger.reading, budget),
        observer=Observer(settings, store, ledger, roster, history),
        footprints=FootprintCache(ledger.shards),
        links=(links := Links(settings, catalog, LinkMetrics(metrics.registry))),
        hooks=(hooks := Hooks(ledger.shards)),
        intake=Intake(ledger, waiting, links, subscriber.process, metrics, hooks),
        metrics=metrics,
        usage=Usage(ledger.shards),
        owner_totals=OwnerTotals(ledger.shards),
        access=access(settings, admin_keys, ledger.shards.first),
        dialects=dialects,
        files=Files(ledger.shards.first, storage),
        batches=Batches(ledger.shards.first),
    )


def _version() -> str:
    try:
        return version("batchline")
    except PackageNotFoundError:  # run from a checkout without installation
        return "0"
