"""The Hugging Face interface: its routes, errors and part of the OpenAPI description."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialects.huggingface import calls, errors
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog


class HuggingFace:
    """A `Dialect`."""

    name = "huggingface"
    title = "Hugging Face"
    prefix = "/models/"
    routers = (calls.direct, calls.router)

    def refuse(self, request: Request, problem: Problem) -> Response:
        return errors.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        """All of it is on the routes."""
