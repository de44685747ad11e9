"""The rerank interface as a dialect."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Sample, SampleRequest
from api.dialects.model_choice import first
from api.dialects.ranking import TASK
from api.dialects.rerank import description, errors, routes, samples
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec


class RerankInterface:
    """A `Dialect`."""

    name = "rerank"
    title = "Rerank (Cohere, Jina)"
    prefix = "/v2/"
    routers = (routes.direct,)
    line_calls = (routes.LINE,)

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        return ("POST /v1/rerank", "POST /v2/rerank") if spec.task == TASK else ()

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        return samples.samples(request)

    def refuse(self, request: Request, problem: Problem) -> Response:
        return errors.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        model = first(catalog, TASK)
        description.describe(described, model.name if model else None)
