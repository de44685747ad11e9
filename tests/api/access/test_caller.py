"""The caller: resolved once, before any route runs, and handed on with each job that is submitted."""

import asyncio
import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.types import Scope
from structlog.testing import capture_logs

from api.access.caller import ANONYMOUS, Caller, caller_of
from api.app import DIALECTS, create_app
from api.dialect import Dialect
from api.edge.express import Direct
from api.problems.problem import Refusal
from jobs.errors import QueueUnavailable
from jobs.ledger.ledger import Ledger
from jobs.owners import Sender
from jobs.schema import NewJob
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.foreign import Labels

LIVENESS = "/health/live"

Events = list[str]


class Noted:
    """A resolver that notes that it was asked, and then returns the caller or raises."""

    def __init__(self, events: Events, found: Caller | Exception) -> None:
        self.events = events
        self.found = found

    async def resolve(self, scope: Scope) -> Caller:
        await asyncio.sleep(0)  # a lookup may take its time
        self.events.append("resolved")
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Watched:
    """A dialect whose endpoints note that they run."""

    def __init__(self, dialect: Dialect, events: Events) -> None:
        self._dialect = dialect
        self.name, self.title, self.prefix = dialect.name, dialect.title, dialect.prefix
        self.routers = [self._watched(router, events) for router in dialect.routers]
        self.refuse, self.calls, self.samples = dialect.refuse, dialect.calls, dialect.samples
        self.line_calls = dialect.line_calls

    def _watched(self, router: APIRouter, events: Events) -> APIRouter:
        copy = APIRouter()
        for route in router.routes:
            assert isinstance(route, APIRoute)
            endpoint = self._noting(route.endpoint, events)
            copy.add_api_route(
                route.path, endpoint, methods=list(route.methods or ()), route_class_override=type(route)
            )
        return copy

    def _noting(self, endpoint: Any, events: Events) -> Any:
        @functools.wraps(endpoint)
        async def noting(*args: Any, **kwargs: Any) -> Any:
            events.append("ran")
            return await endpoint(*args, **kwargs)

        return noting

    def describe(self, described: dict[str, Any], catalog: object) -> None:
        pass


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """A request for each route, its method and its path; and for what is mounted."""
    for route in iter_route_contexts(app.routes):
        assert route.path is not None
        path = re.sub(r"\{(\w+_id|name|name:path|place:path)\}", "x", route.path)
        assert "{" not in path, "this test must know every parameter of a path"
        yield from ((method, path) for method in route.methods or ["GET"])
    yield from [("GET", "/static/style.css"), ("HEAD", "/v1/jobs/x"), ("GET", "/nowhere")]


def test_the_walk_knows_every_route(settings: Settings) -> None:
    known = set(routes(create_app(settings)))
    assert {("POST", "/v1/jobs"), ("GET", "/"), ("GET", "/metrics"), ("GET", "/openapi.json")} <= known
    assert {("GET", "/static"), ("POST", "/submit"), ("GET", "/docs"), ("GET", LIVENESS)} <= known


async def test_no_endpoint_runs_without_a_resolved_caller(settings: Settings) -> None:
    """The express lane's neither; each request is resolved once."""
    events: Events = []
    dialects = [Watched(dialect, events) for dialect in (*DIALECTS, Labels())]
    resolver = Noted(events, Caller(Sender("alice")))
    async with mounted(settings, dialects=dialects, resolver=resolver) as (client, _):
        app = create_app(settings, dialects=dialects)
        endpoints = [route for each in dialects for router in each.routers for route in router.routes]
        assert any(isinstance(route, Direct) for route in endpoints)
        ran = 0
        for method, path in routes(app):
            events.clear()
            await client.request(method, path)
            if path == LIVENESS:
                assert events == ["ran"], "it depends on nothing"
            else:
                assert events[:1] == ["resolved"], (method, path)
                assert events[1:] in ([], ["ran"]), (method, path)
            ran += events[-1:] == ["ran"] and method != "HEAD"
        assert ran == len(endpoints), "each has run"


async def test_a_refused_caller_reaches_no_route_but_liveness(settings: Settings) -> None:
    events: Events = []
    dialects = [Watched(dialect, events) for dialect in (*DIALECTS, Labels())]
    refused = Noted(events, Refusal("cross-site", "no key"))
    for given in (dialects, (*DIALECTS, Labels())):
        async with mounted(settings, dialects=given, resolver=refused) as (client, services):
            called = list(routes(create_app(settings, dialects=given)))
            assert len(called) > 20
            for method, path in called:
                events.clear()
                answer = await client.request(method, path)
                if path == LIVENESS:
                    assert answer.status_code == 200
                else:
                    assert (answer.status_code, events) == (403, ["resolved"]), (method, path)
            counted = services.metrics.registry.get_sample_value
            assert counted("batchline_requests_refused_total", {"reason": "cross-site"}) == len(called) - 1


async def test_a_resolver_without_its_store_is_answered_as_such(settings: Settings) -> None:
    async with mounted(settings, resolver=Noted([], QueueUnavailable("x"))) as (client, _):
        answer = await client.post("/v1/jobs", json={"inputs": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_bug_in_a_resolver_lets_nobody_in(settings: Settings) -> None:
    async with mounted(settings, resolver=Noted([], ZeroDivisionError("secret"))) as (client, _):
        with capture_logs() as logs:
            answers = [await client.post("/v1/jobs", json={"inputs": "x"}), await client.get("/metrics")]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert "secret" not in answers[0].text
    assert [line["event"] for line in logs] == ["unexpected error"] * 2


@pytest.mark.parametrize("owner", ["", "alice"])
async def test_a_job_has_its_callers_owner(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """Whichever way it was submitted."""
    owners: list[str] = []
    submit = Ledger.submit

    async def noting(ledger: Ledger, job: NewJob, **how: Any) -> Any:
        owners.append(job.sender.owner)
        return await submit(ledger, job, **how)

    monkeypatch.setattr(Ledger, "submit", noting)
    resolver = Noted([], Caller(Sender(owner))) if owner else None
    async with mounted(settings, resolver=resolver) as (client, _):
        assert (await client.post("/v1/jobs", json={"inputs": "x"})).status_code == 202
        form = {"text": "a\nb", "mode": "lines", "model": "sentiment"}
        assert (await client.post("/submit", data=form)).status_code == 303
    assert owners == [owner] * 2


def test_a_scope_without_a_caller_is_a_bug() -> None:
    assert ANONYMOUS.owner == ""
    with pytest.raises(KeyError):
        caller_of({"type": "http"})
