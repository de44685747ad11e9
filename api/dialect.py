"""Dialect: one HTTP interface to the same jobs. `/v1/jobs` is the first, the pages for browsers are another.

A dialect parses its requests to jobs, presents jobs as its answers and problems as its errors. It has its own
routes and its own part of the description (OpenAPI). It never talks to Redis: `api/intake.py` submits for it.
To add one, write it in a file or folder of its own and name it in `api/app.py`.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from api.problems.problem import Problem
from jobs.models import ModelCatalog
from jobs.schema import Job, NewJob

C = TypeVar("C")
"""What a call's `present` needs to know of the request."""


class Ask(NamedTuple, Generic[C]):
    """What a client asks for, in our terms."""

    job: NewJob
    context: C
    """Given to `present`; keep no inputs in it, for it stays in memory while the request waits."""
    wait: float = 0.0
    """Seconds that the client waits for the job's end."""
    key: str | None = None
    """Its idempotency key."""


class Accepted(NamedTuple):
    """A submitted job, as it is when the wait is over."""

    job: Job
    replayed: bool
    """Whether an earlier request with the same key submitted it."""


class Call(NamedTuple, Generic[C]):
    """One way to submit: `Intake.run` parses the request, submits the job, waits, and presents it.

    Both raise Refusal or an exception of `jobs/errors.py` where the client gets an error instead.
    """

    parse: Callable[[Request], Awaitable[Ask[C]]]
    present: Callable[[Request, Accepted, C], Awaitable[Response]]


class Dialect(Protocol):
    """What the application needs to know of a dialect."""

    @property
    def prefix(self) -> str:
        """The dialect refuses requests for unknown paths that begin with this."""

    @property
    def routers(self) -> Sequence[APIRouter]:
        """Its routes. Those with `route_class=Direct` are on the express lane."""

    def refuse(self, request: Request, problem: Problem) -> Response:
        """The problem as the dialect's error, with the problem's status and headers."""

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        """Completes the description: the schemas and examples that FastAPI cannot know."""


class Dialects:
    """All dialects, and the rule which one answers a request that is refused."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        """One of them must have the prefix ""."""
        self.all = tuple(dialects)
        self._by_endpoint = {
            route.endpoint: dialect for dialect, route in self._routes() if hasattr(route, "endpoint")
        }

    @property
    def routes(self) -> list[BaseRoute]:
        return [route for _, route in self._routes()]

    def of(self, scope: Scope) -> Dialect:
        """The dialect of the route that the request has reached, or that it asks for.

        For a path without a route, the dialect with the longest prefix of it.
        """
        endpoint = scope.get("endpoint") or getattr(scope.get("route"), "endpoint", None)
        return self._by_endpoint.get(endpoint) or self._with_route(scope) or self._with_prefix(scope["path"])

    def _routes(self) -> Iterator[tuple[Dialect, BaseRoute]]:
        for dialect in self.all:
            for router in dialect.routers:
                for route in router.routes:
                    yield dialect, route

    def _with_route(self, scope: Scope) -> Dialect | None:
        """A route for the path and the method, or else for the path alone."""
        found: Dialect | None = None
        for dialect, route in self._routes():
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return dialect
            if match is Match.PARTIAL and found is None:
                found = dialect
        return found

    def _with_prefix(self, path: str) -> Dialect:
        return max(
            (each for each in self.all if path.startswith(each.prefix)), key=lambda each: len(each.prefix)
        )
