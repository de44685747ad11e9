"""The Hugging Face interface: its routes, errors and part of the OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Sample, SampleRequest
from api.dialects.huggingface import calls, descriptions, errors, samples
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec


class HuggingFace:
    """A `Dialect`."""

    name = "huggingface"
    title = "Hugging Face"
    prefix = "/models/"
    routers = (calls.router, calls.direct)  # the direct path of a model fits all others
    line_calls = ()

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        path = f"POST /models/{spec.name}"
        return (path, f"{path}/v1/chat/completions") if spec.takes_chats else (path,)

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        return samples.samples(request)

    def refuse(self, request: Request, problem: Problem) -> Response:
        return errors.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        """The rest of it is on the routes."""
        described["paths"]["/models/{name}/v1/chat/completions"] = {"post": descriptions.CHAT}
        described["info"]["description"] = (
            "The interface of Hugging Face's `InferenceClient`: a model's address is `/models/{name}`."
        )
