"""OpenAI's interface as a dialect: its routes, errors and part of the OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Sample, SampleRequest
from api.dialects.openai import (
    batches,
    chat,
    completions,
    description,
    embeddings,
    errors,
    files,
    models,
    moderations,
    samples,
)
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec


class OpenAI:
    """A `Dialect`. Unknown paths below /v1 are refused by Batchline's own interface."""

    name = "openai"
    title = "OpenAI"
    prefix = "/v1/embeddings"
    routers = (
        embeddings.router,
        chat.router,
        completions.router,
        moderations.router,
        models.router,
        files.router,
        batches.router,
    )
    line_calls = (embeddings.LINE, chat.LINE, completions.LINE, moderations.LINE)

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        return [call for call in samples.CALLS.get(spec.task, ()) if call != samples.CHAT or spec.takes_chats]

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        return samples.samples(request)

    def refuse(self, request: Request, problem: Problem) -> Response:
        return errors.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        description.describe(described)
