"""Parts of the OpenAPI descriptions of dialects: bodies from the types that decode them, answers, errors."""

from collections.abc import Sequence
from typing import Any

import msgspec

from jobs.validation import properties

ERRORS = {
    400: "The request cannot be run.",
    401: "The API key is missing or not accepted.",
    404: "No such model.",
    413: "More inputs or bytes than the model or the server accepts.",
    422: "The request cannot be run.",
    424: "The model has another task, or failed on an input.",
    429: "The queue is full, or a limit of the key is reached.",
    500: "The model failed on an input.",
    503: "The queue cannot be reached or is full.",
    504: "The job did not end within the longest wait. It continues, and `job_id` names it.",
}
"""Why a call is refused, by status."""

_TEXT = {"schema": {"type": "string"}}

NAME: dict[str, Any] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The model's name or an alias.",
    "schema": {"type": "string"},
}
"""The model in a path."""

REQUEST_HEADERS: list[dict[str, Any]] = [
    {
        "name": "X-Batchline-Priority",
        "in": "header",
        "description": "The job's priority, by default `normal`.",
        "schema": {"type": "string", "enum": ["high", "normal", "low"]},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeated request with the same key gets the first one's job.",
        "schema": {"type": "string", "pattern": "^[ -~]{1,255}$"},
    },
]


def body(kind: type[msgspec.Struct], example: Any) -> dict[str, Any]:
    """The description of a JSON body that is decoded to `kind`."""
    fields = msgspec.structs.fields(kind)
    schema = {
        "type": "object",
        "properties": properties(kind),
        "required": [field.encode_name for field in fields if field.required],
    }
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def answer(description: str, example: Any) -> dict[str, Any]:
    """The description of an answer, which has the job's id in a header."""
    return {
        "description": description,
        "headers": {"x-batchline-job": {"description": "The job's id.", **_TEXT}},
        "content": {"application/json": {"example": example}},
    }


def errors(example: Any, statuses: Sequence[int]) -> dict[int | str, Any]:
    """The descriptions of errors, which all have the form of the example."""
    content = {"application/json": {"example": example}}
    return {status: {"description": ERRORS[status], "content": content} for status in statuses}
