"""The OpenAPI description of the routes."""

from typing import Any

from api.dialects.descriptions import NAME, REQUEST_HEADERS

_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "error_type": {"type": "string"}},
    "required": ["error", "error_type"],
}
_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "inputs": {"description": "One input of the model's task, or a list of them. Media are base64."},
        "parameters": {"type": "object", "description": "Parameters of the task."},
    },
    "required": ["inputs"],
}


def _answers(*, healthy: str, statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    errors: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in statuses.items()
    }
    return {200: {"description": healthy}, **errors}


CALL: dict[str, Any] = {
    "operation_id": "run_model",
    "responses": _answers(
        healthy="The output in the form of the task; for text-to-audio the bytes of a sound.",
        statuses={
            404: "No such model.",
            413: "The body is too large.",
            415: "Neither JSON nor a medium.",
            422: "The input or a parameter is wrong.",
            500: "The model failed on the input.",
            503: "The queue is full or cannot be reached.",
            504: "The job did not end within the longest wait. It continues, and `job_id` names it.",
        },
    ),
    "openapi_extra": {
        "parameters": [NAME, *REQUEST_HEADERS],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _BODY, "example": {"inputs": "A wonderful film."}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
}

INFO: dict[str, Any] = {
    "operation_id": "read_model_info",
    "responses": _answers(healthy="The model.", statuses={404: "No such model."}),
    "openapi_extra": {"parameters": [NAME]},
}

HEALTH: dict[str, Any] = {
    "operation_id": "read_model_health",
    "responses": _answers(
        healthy="A worker can run the model.",
        statuses={404: "No such model.", 503: "No worker can run it now."},
    ),
    "openapi_extra": {"parameters": [NAME]},
}
