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
        "stream": {
            "type": "boolean",
            "description": "Of text-generation: the text is sent while it grows, as server-sent events.",
        },
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

_TEXT = {"type": "string"}
_OPENAI_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": _TEXT, "type": _TEXT, "param": {}, "code": _TEXT},
        }
    },
    "required": ["error"],
}
_CHOICE = {
    "type": "object",
    "properties": {"message": {"type": "object", "properties": {"role": _TEXT, "content": _TEXT}}},
}

CHAT: dict[str, Any] = {
    "tags": ["Hugging Face"],
    "summary": "Chat",
    "description": "Generates the next message of a chat, for `InferenceClient.chat_completion`. It is"
    " OpenAI's `/v1/chat/completions` for the model of the path, with its members, answers and errors.",
    "operationId": "run_chat",
    "parameters": [NAME, *REQUEST_HEADERS],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "messages": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "properties": {
                                    "role": {"enum": ["system", "developer", "user", "assistant"]},
                                    "content": _TEXT,
                                },
                                "required": ["role", "content"],
                            },
                            "description": "The messages so far, each with a `role` and its `content`.",
                        },
                        "max_tokens": {"type": "integer", "minimum": 1},
                        "stream": {
                            "type": "boolean",
                            "description": "The text is sent while it grows, as server-sent events.",
                        },
                    },
                    "required": ["messages"],
                },
                "example": {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 20},
            }
        },
    },
    "responses": {
        "200": {
            "description": "The next message.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"choices": {"type": "array", "items": _CHOICE}},
                    }
                },
                "text/event-stream": {"schema": _TEXT},
            },
        },
        **{
            status: {"description": text, "content": {"application/json": {"schema": _OPENAI_ERROR}}}
            for status, text in {
                "400": "The request cannot be run.",
                "404": "No such model.",
                "413": "The request is too large.",
                "415": "The content type is not supported.",
                "429": "The queue is full, or a limit of the key is reached.",
                "500": "The model failed.",
                "503": "The queue cannot be reached or is full.",
                "504": "The job did not end within the longest wait. It continues.",
            }.items()
        },
    },
}
"""Of a route that OpenAI's dialect has, so FastAPI would describe it there."""
