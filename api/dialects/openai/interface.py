"""OpenAI's interface as a dialect: its routes, errors and part of the OpenAPI description."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialects.openai import chat, completions, description, embeddings, errors, models, moderations
from api.problems.problem import Problem
from jobs.catalog import ModelCatalog


class OpenAI:
    """A `Dialect`. Unknown paths below /v1 are refused by Batchline's own interface."""

    prefix = "/v1/embeddings"
    routers = (embeddings.router, chat.router, completions.router, moderations.router, models.router)

    def refuse(self, request: Request, problem: Problem) -> Response:
        return errors.response(problem)

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        description.describe(described)
