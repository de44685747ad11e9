"""TEI's interface as a dialect."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialects.tei import description, errors, routes
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog


class TeiInterface:
    """A `Dialect`."""

    name = "tei"
    title = "Text Embeddings Inference"
    prefix = "/tei/"
    routers = (routes.direct, routes.router)

    def refuse(self, request: Request, problem: Problem) -> Response:
        return errors.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        described["info"]["description"] = description.INTRODUCTION
