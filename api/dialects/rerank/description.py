"""The OpenAPI description of the rerank calls."""

from typing import Any

from api.dialects import descriptions
from api.dialects.rerank.requests import RerankRequest

INTRODUCTION = """The rerank calls of Cohere and Jina, for models with the task `text-ranking`.

A request is one job, whose id is in the header `x-batchline-job`. Members of a request that only tune how a
provider computes, such as `max_tokens_per_doc`, are ignored."""

_DOCUMENTS = ["The bridge was opened in the spring of 1911.", "The town has two bakeries."]
_ANSWER = {
    "id": "3f6a1c0e9b7d4a52",
    "model": "ranker",
    "results": [{"index": 0, "relevance_score": 0.97}],
    "usage": {"prompt_tokens": 38, "total_tokens": 38},
    "meta": {
        "api_version": {"version": "2"},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": 38, "output_tokens": 0},
    },
}
_ERROR = {"message": "top_n: give a whole number, 1 or more, or null"}

CALL: dict[str, Any] = {
    "responses": {
        200: descriptions.answer("The documents, best first.", _ANSWER),
        **descriptions.errors(_ERROR | {"detail": _ERROR["message"]}, (404, 413, 422, 429, 500, 503, 504)),
    },
    "openapi_extra": {
        "parameters": descriptions.REQUEST_HEADERS,
        "requestBody": descriptions.body(RerankRequest, {}),
    },
}


def describe(described: dict[str, Any], model: str | None) -> None:
    """Completes FastAPI's description with the introduction, and examples for the first model that ranks."""
    described["info"]["description"] = INTRODUCTION
    example = {"query": "When was the bridge opened?", "documents": _DOCUMENTS, "top_n": 1}
    if model is not None:
        example = {"model": model, **example}
    for path in described["paths"].values():
        path["post"]["requestBody"]["content"]["application/json"]["example"] = example
