"""The OpenAPI description of TEI's calls."""

from typing import Any

import msgspec

from api.dialects import descriptions
from api.dialects.tei.requests import EmbedRequest, PredictRequest, RerankRequest, SimilarityRequest

INTRODUCTION = """The interface of text-embeddings-inference (TEI), for clients that need its address.

`/tei/{name}` takes the place of that address. The same paths at the root are for the first model with the
call's task. A request is one job; its id is in the header `x-batchline-job`. Texts are always cut at the
model's length."""

_ERROR = {
    "error": "the batch size 2,048 is more than this model's limit of 1,000",
    "error_type": "Validation",
}
_ERRORS = descriptions.errors(_ERROR, (404, 413, 422, 424, 429, 503, 504))


def _call(
    operation: str, kind: type[msgspec.Struct], example: Any, means: str, answer: Any
) -> dict[str, Any]:
    return {
        "operation_id": operation,
        "responses": {200: descriptions.answer(means, answer), **_ERRORS},
        "openapi_extra": {
            "parameters": descriptions.REQUEST_HEADERS,
            "requestBody": descriptions.body(kind, example),
        },
    }


def of_model(call: dict[str, Any]) -> dict[str, Any]:
    """The description of a call whose path names the model."""
    extra = call.get("openapi_extra", {})
    parameters = [descriptions.NAME, *extra.get("parameters", ())]
    return call | {
        "operation_id": f"{call['operation_id']}_of_model",
        "openapi_extra": extra | {"parameters": parameters},
    }


_SENTENCES = {
    "source_sentence": "The bridge was opened in the spring.",
    "sentences": ["They opened the bridge in April.", "The town has two bakeries."],
}

EMBED = _call(
    "embed", EmbedRequest, {"inputs": ["A wonderful film."]}, "A vector for each text.", [[0.12, -0.5, 0.3]]
)
RERANK = _call(
    "rerank",
    RerankRequest,
    {"query": "When was the bridge opened?", "texts": ["In the spring of 1911.", "There are two bakeries."]},
    "The texts, best first.",
    [{"index": 0, "score": 0.97}, {"index": 1, "score": 0.02}],
)
PREDICT = _call(
    "predict",
    PredictRequest,
    {"inputs": [["A wonderful film."], ["A man plays.", "Somebody makes music."]]},
    "All labels with their scores, best first; a list of these for a list of texts.",
    [[{"label": "POSITIVE", "score": 0.98}, {"label": "NEGATIVE", "score": 0.02}]],
)
SIMILARITY = _call(
    "similarity",
    SimilarityRequest,
    {"inputs": _SENTENCES},
    "The cosine similarity of each sentence with the source.",
    [0.91, 0.13],
)
ROOT: dict[str, Any] = {
    "operation_id": "root",
    "responses": {200: {"description": "As the call for the model's task."}, **_ERRORS},
    "openapi_extra": {
        "parameters": descriptions.REQUEST_HEADERS,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"inputs": "A film."}}},
        },
    },
}
INFO: dict[str, Any] = {
    "operation_id": "info",
    "responses": {
        200: {"description": "The model and its limits."},
        **descriptions.errors(_ERROR, (404, 424, 503)),
    },
}
HEALTH: dict[str, Any] = {
    "operation_id": "health",
    "responses": {
        200: {"description": "A worker serves the model."},
        **descriptions.errors(_ERROR, (404, 424, 503)),
    },
}
