"""The OpenAPI description of OpenAI's interface. The fields are OpenAI's own; its reference explains them."""

from typing import Any

from api.dialects.descriptions import REQUEST_HEADERS
from api.dialects.headers import JOB_HEADER
from jobs.tasks.inputs.text_or_chat import MAX_MESSAGES

TAG = "openai"

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}


def _texts(description: str, **more: Any) -> dict[str, Any]:
    """A text or a list of texts. `more` is another option."""
    options: list[dict[str, Any]] = [_STRING, {"type": "array", "items": _STRING, "minItems": 1}]
    return {"anyOf": [*options, *more.values()], "description": description}


_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": _STRING, "type": _STRING, "param": {}, "code": _STRING},
        }
    },
}
_ERRORS = {
    400: "The request cannot be run.",
    401: "The API key is missing or not accepted.",
    403: "The API key does not allow this.",
    404: "No such model.",
    405: "No such method.",
    408: "The request came too slowly.",
    410: "The job was cancelled.",
    413: "The request is too large.",
    415: "The content type is not supported.",
    421: "This host name is not served here.",
    429: "A limit of the key is reached.",
    500: "The job failed.",
    503: "The queue is full, or the server is busy.",
    504: f"The job has not ended yet; it continues, and `{JOB_HEADER}` has its id.",
}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _answers(description: str, schema: dict[str, Any], **more: Any) -> dict[int, Any]:
    content = {"application/json": {"schema": schema}, **more}
    found: dict[int, Any] = {200: {"description": description, "content": content}}
    errors = {"application/json": {"schema": _ERROR}}
    return found | {status: {"description": text, "content": errors} for status, text in _ERRORS.items()}


def _call(
    operation_id: str, required: list[str], body: dict[str, Any], example: Any, answers: dict[int, Any]
) -> dict[str, Any]:
    answers[200]["headers"] = {JOB_HEADER: {"description": "The job's id.", "schema": _STRING}}
    schema = {**_object(**body), "required": required, "additionalProperties": False}
    return {
        "operation_id": operation_id,
        "responses": answers,
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema, "example": example}},
            },
            "parameters": REQUEST_HEADERS,
        },
    }


_PART = {**_object(type={"const": "text"}, text=_STRING), "required": ["type", "text"]}
_MESSAGES = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_MESSAGES,
    "items": {
        **_object(
            role={"enum": ["system", "developer", "user", "assistant"]},
            content={"anyOf": [_STRING, {"type": "array", "items": _PART}]},
        ),
        "required": ["role", "content"],
    },
    "description": "The messages so far, the oldest first. Each has a `role` (`system`, `developer`, `user`,"
    " `assistant`; `developer` means `system`) and its `content`: a text, or a list of parts"
    " `{type: text, text}`. Images and calls of tools are refused. A chat that the model cannot read whole"
    " loses its beginning.",
}

USAGE = _object(prompt_tokens=_INTEGER, total_tokens=_INTEGER)

EMBEDDINGS = _call(
    "create_embeddings",
    ["input"],
    {
        "input": _texts(
            "A text, or a list of texts, which are one job: at most as many as the model's `max_inputs`."
            " Token ids are not taken. A text that is longer than the model reads is cut at its end."
        ),
        "model": _STRING,
        "encoding_format": {"enum": ["float", "base64"]},
        "dimensions": {**_INTEGER, "minimum": 1},
        "user": _STRING,
    },
    {"input": ["A wonderful film.", "A dull, badly acted mess."]},
    _answers(
        "A vector for each text.",
        _object(
            object={"const": "list"},
            data={"type": "array", "items": _object(object=_STRING, index=_INTEGER, embedding={})},
            model=_STRING,
            usage=USAGE,
        ),
    ),
)

_STOP = {"type": "string", "minLength": 1, "maxLength": 64}
_SETTINGS = {
    "model": _STRING,
    "max_tokens": {**_INTEGER, "minimum": 1},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "n": {**_INTEGER, "minimum": 1, "maximum": 128},
    "seed": _INTEGER,
    "stop": {"anyOf": [_STOP, {"type": "array", "items": _STOP, "minItems": 1, "maxItems": 4}]},
    "stream": {"type": "boolean"},
    "stream_options": _object(include_usage={"type": "boolean"}),
}
_STREAM = {"text/event-stream": {"schema": _STRING}}


def _completion(choice: dict[str, Any]) -> dict[str, Any]:
    return _object(
        id=_STRING,
        object=_STRING,
        created=_INTEGER,
        model=_STRING,
        choices={"type": "array", "items": _object(index=_INTEGER, **choice, finish_reason=_STRING)},
        usage=_object(prompt_tokens=_INTEGER, completion_tokens=_INTEGER, total_tokens=_INTEGER),
    )


CHAT = _call(
    "create_chat_completion",
    ["messages"],
    {
        "messages": _MESSAGES,
        "max_completion_tokens": {**_INTEGER, "minimum": 1},
        **_SETTINGS,
    },
    {"messages": [{"role": "user", "content": "Hello!"}], "max_completion_tokens": 20},
    _answers(
        "The next message.", _completion({"message": _object(role=_STRING, content=_STRING)}), **_STREAM
    ),
)

COMPLETIONS = _call(
    "create_completion",
    ["prompt"],
    {
        "prompt": _texts("A text, or a list of texts, each of which is continued. Token ids are not taken."),
        **_SETTINGS,
    },
    {"prompt": "Once upon a time", "max_tokens": 20},
    _answers("The continuations.", _completion({"text": _STRING}), **_STREAM),
)

MODERATIONS = _call(
    "create_moderation",
    ["input"],
    {
        "input": _texts(
            "A text, or a list of texts, each of which is classified; or parts `{type: text, text}` of one"
            " text. Images are not taken.",
            parts={"type": "array", "items": _PART, "minItems": 1},
        ),
        "model": _STRING,
    },
    {"input": "A wonderful film."},
    _answers(
        "The categories of each text.",
        _object(
            id=_STRING,
            model=_STRING,
            results={
                "type": "array",
                "items": _object(
                    flagged={"type": "boolean"},
                    categories={"type": "object"},
                    category_scores={"type": "object"},
                    category_applied_input_types={"type": "object"},
                ),
            },
        ),
    ),
)

MODEL: dict[str, Any] = {
    "operation_id": "retrieve_model",
    "responses": _answers(
        "The model.", _object(id=_STRING, object={"const": "model"}, created=_INTEGER, owned_by=_STRING)
    ),
}


def describe(described: dict[str, Any]) -> None:
    """Completes FastAPI's description of the routes in this folder."""
    introduction = "OpenAI's interface: the clients need only another base URL (/v1)."
    described["info"]["description"] = introduction
    described.setdefault("tags", []).append({"name": TAG, "description": introduction})
