"""Dialect: one HTTP interface to the same jobs. `/v1/jobs` is the first, the pages for browsers are another.

A dialect parses its requests to jobs, and presents jobs as answers and problems as errors. It has its own
routes and its own OpenAPI description, and says which calls it has for a model, with code for its clients.
It never uses Redis: `api/intake.py` submits its jobs. To add a dialect, write it in a new file or folder and
add it in `api/app.py`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from api.line_calls import LineCall
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec
from jobs.schema import Job, NewJob

C = TypeVar("C")
"""The type of the data that a call's `parse` passes to `present`."""


class ParsedRequest(NamedTuple, Generic[C]):
    """A parsed request."""

    job: NewJob
    context: C
    """Passed to `present`. It must not contain inputs, because it stays in memory while the request waits."""
    wait: float = 0.0
    """Maximum seconds that the client waits for the job's end."""
    key: str | None = None
    """The idempotency key, if the client sent one."""


class Accepted(NamedTuple):
    """A submitted job, in its state at the end of the wait."""

    job: Job
    replayed: bool
    """Whether an earlier request with the same key submitted it."""


class Call(NamedTuple, Generic[C]):
    """A dialect's functions for submitting. `Intake.run` parses, submits, waits, and presents the job.

    Both functions may raise Refusal or an exception of `jobs/errors.py`, which is answered as an error.
    """

    parse: Callable[[Request], Awaitable[ParsedRequest[C]]]
    present: Callable[[Request, Accepted, C], Awaitable[Response]]


class File(str):
    """A medium in the inputs of a SampleRequest: the name of a file."""


class SampleRequest(NamedTuple):
    """A job, as `POST /v1/jobs` would have it, that is to be shown as code."""

    spec: ModelSpec
    inputs: Any
    parameters: Mapping[str, Any]
    """Without those that the model has by default."""
    url: str
    """The server's address, without a slash at its end."""
    has_keys: bool
    """Whether the server requires an API key, which code reads from the variable KEY."""


class Sample(NamedTuple):
    """A request as code for one client, such as `openai` or `curl`."""

    client: str
    code: str


class Dialect(Protocol):
    """The interface of a dialect."""

    @property
    def name(self) -> str:
        """A word for paths and lists, such as `rerank`."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def prefix(self) -> str:
        """The dialect refuses requests for unknown paths that begin with this prefix."""

    @property
    def routers(self) -> Sequence[APIRouter]:
        """The dialect's routes. Those with `route_class=Direct` are on the express lane."""

    @property
    def line_calls(self) -> Sequence[LineCall[Any]]:
        """The calls that lines of batches may name; of all dialects, no two have the same path."""

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        """The calls that the dialect has for the model, such as `POST /v1/embeddings`."""

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        """The request as code for the dialect's clients. None for a client that cannot send it."""

    def refuse(self, request: Request, problem: Problem) -> Response:
        """The problem as the dialect's error, with the problem's status and headers."""

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        """Adds to its own OpenAPI description the schemas and examples that FastAPI does not know."""


class Dialects:
    """All dialects, and which of them answers a refused request."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        """One of the dialects must have the prefix ""."""
        self.all = tuple(dialects)
        self._by_endpoint = {
            route.endpoint: dialect for dialect, route in self._routes() if hasattr(route, "endpoint")
        }

    @property
    def routes(self) -> list[BaseRoute]:
        return [route for _, route in self._routes()]

    def of(self, scope: Scope) -> Dialect:
        """The dialect of the request's route.

        For a path without a route, the dialect with the longest matching prefix.
        """
        endpoint = scope.get("endpoint") or getattr(scope.get("route"), "endpoint", None)
        return self._by_endpoint.get(endpoint) or self._with_route(scope) or self._with_prefix(scope["path"])

    def for_model(self, spec: ModelSpec) -> list[tuple[Dialect, Sequence[str]]]:
        """The dialects that serve the model, each with its calls."""
        found = [(dialect, dialect.calls(spec)) for dialect in self.all]
        return [(dialect, calls) for dialect, calls in found if calls]

    @property
    def line_calls(self) -> Mapping[str, LineCall[Any]]:
        """The calls of all dialects for lines of batches, by their paths."""
        return {call.url: call for dialect in self.all for call in dialect.line_calls}

    def samples(self, request: SampleRequest) -> list[Sample]:
        """The request as code for the clients of all dialects that can send it."""
        return [sample for dialect in self.all for sample in dialect.samples(request)]

    def _routes(self) -> Iterator[tuple[Dialect, BaseRoute]]:
        for dialect in self.all:
            for router in dialect.routers:
                for route in router.routes:
                    yield dialect, route

    def _with_route(self, scope: Scope) -> Dialect | None:
        """The dialect with a route for the path and the method, or else for the path alone."""
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
