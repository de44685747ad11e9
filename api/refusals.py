"""Refusals: converts exceptions to responses in the dialect of their request, and counts them."""

from dataclasses import replace

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Dialects
from api.problems.exceptions import EXPECTED, framework_problem, problem_of
from api.problems.problem import Problem
from api.services import services
from jobs.errors import QueueFull
from jobs.monitoring.metrics import ApiMetrics

RETRIED_AFTER = {
    "redis-unavailable": "1",
    "server-busy": "1",
    "storage-unavailable": "1",
    "storage-full": "60",
}
"""Kinds of problems that may end soon, with the seconds after which a retry is worth it."""


class Refusals:
    """Answers exceptions of FastAPI, of the express lane, and of the checks before both."""

    def __init__(self, dialects: Dialects, metrics: ApiMetrics) -> None:
        self._dialects = dialects
        self._metrics = metrics

    def install(self, app: FastAPI) -> None:
        """Registers handlers for all expected exceptions. Others are handled in `api/edge/middleware.py`."""
        for cls in EXPECTED:
            app.add_exception_handler(cls, self.answer)
        for cls in (RequestValidationError, HTTPException):
            app.add_exception_handler(cls, self.answer_framework)

    async def answer(self, request: Request, error: Exception) -> Response:
        """The response to an exception of Batchline, or to an unexpected one."""
        problem = problem_of(error)
        extensions, headers = dict(problem.extensions), dict(problem.headers)
        if isinstance(error, QueueFull):
            seconds = await services(request).roster.drain_seconds(error.model, error.depth)
            headers["retry-after"] = str(seconds)
        elif problem.kind in RETRIED_AFTER:
            headers.setdefault("retry-after", RETRIED_AFTER[problem.kind])
        if "job_id" in request.path_params:
            extensions["instance"] = request.url.path
        return self._refuse(request, replace(problem, extensions=extensions, headers=headers))

    async def answer_framework(self, request: Request, error: Exception) -> Response:
        """The response to an exception of FastAPI or Starlette."""
        problem = framework_problem(request, error)
        headers = dict(problem.headers)
        if problem.kind == "method-not-allowed":
            headers["allow"] = ", ".join(_allowed(request)) or headers.get("allow", "")
        return self._refuse(request, replace(problem, headers=headers))

    def _refuse(self, request: Request, problem: Problem) -> Response:
        self._metrics.refused.labels(problem.kind).inc()
        return self._dialects.of(request.scope).refuse(request, problem)


def _allowed(request: Request) -> list[str]:
    """All methods of the path. Starlette names only those of the first route with this path."""
    path = getattr(request.scope.get("route"), "path", None)
    routes = [route for route in iter_route_contexts(request.app.routes) if route.path == path]
    return sorted({method for route in routes for method in route.methods or ()})
