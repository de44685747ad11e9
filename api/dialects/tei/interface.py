"""TEI's interface as a dialect."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Sample, SampleRequest
from api.dialects.tei import description, errors, routes, samples, serving
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec


class TeiInterface:
    """A `Dialect`."""

    name = "tei"
    title = "Text Embeddings Inference"
    prefix = "/tei/"
    routers = (routes.router, routes.direct)  # the direct path of a model fits all others
    line_calls = ()

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        return [f"POST /tei/{spec.name}/{call}" for call in serving.CALLS.get(spec.task, ())]

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        return samples.samples(request)

    def refuse(self, request: Request, problem: Problem) -> Response:
        return errors.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        described["info"]["description"] = description.INTRODUCTION
