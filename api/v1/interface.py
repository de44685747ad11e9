"""Batchline's own interface, the first dialect: its routes, errors and part of the OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Sample, SampleRequest
from api.problems.problem import Problem
from api.v1 import attachments, health, jobs, lines, models, openapi, problems, usage, webhooks
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec


class OwnInterface:
    """A `Dialect`."""

    name = "batchline"
    title = "Batchline"
    prefix = "/v1/"
    routers = (
        *(jobs.direct, jobs.router, attachments.router, models.router, usage.router, health.router),
        webhooks.router,
    )
    line_calls = (lines.LINE,)

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        return ("POST /v1/jobs",)

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        """None: the page /try makes them of its form, which may have files."""
        return ()

    def refuse(self, request: Request, problem: Problem) -> Response:
        return problems.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        openapi.describe(described, catalog)
