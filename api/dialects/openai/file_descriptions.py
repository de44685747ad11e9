"""The OpenAPI description of the calls in `files.py`. The fields are OpenAI's own."""

from collections.abc import Sequence
from typing import Any

from api.dialects.openai.upload_form import ANCHOR, MAX_LIFETIME, MIN_LIFETIME, SECONDS
from bulk.files.file import PURPOSES, UPLOADED

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_BOOLEAN = {"type": "boolean"}

_ERRORS = {
    400: "The request cannot be run.",
    401: "The API key is missing or not accepted.",
    403: "The API key does not allow this, or the quota of the owner's files is used up.",
    404: "No such file.",
    408: "The file came too slowly.",
    413: "The file is too large.",
    415: "The content encoding is not supported.",
    416: "There is no such range.",
    421: "This host name is not served here.",
    503: "Redis or the storage of files cannot be reached, or the server is busy.",
    507: "The storage of files is full.",
}

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": _STRING, "type": _STRING, "param": {}, "code": _STRING},
        }
    },
}

_FILE = {
    "type": "object",
    "properties": {
        "id": _STRING,
        "object": {"const": "file"},
        "bytes": _INTEGER,
        "created_at": {**_INTEGER, "description": "Unix seconds."},
        "expires_at": {
            **_INTEGER,
            "description": "Unix seconds; absent if the file is kept until it is deleted.",
        },
        "filename": _STRING,
        "purpose": {"enum": list(PURPOSES)},
        "status": {"const": "processed"},
    },
    "required": ["id", "object", "bytes", "created_at", "filename", "purpose", "status"],
}


def _call(
    operation_id: str,
    description: str,
    content: dict[str, Any],
    statuses: Sequence[int],
    extra: dict[str, Any] | None = None,
    **successes: Any,
) -> dict[str, Any]:
    errors = {"application/json": {"schema": _ERROR}}
    found: dict[int | str, Any] = {200: {"description": description, "content": content}}
    for status in sorted({*statuses, 400, 401, 403, 421, 503}):
        found[status] = {"description": _ERRORS[status], "content": errors}
    call: dict[str, Any] = {"operation_id": operation_id, "responses": found | successes}
    return call | ({"openapi_extra": extra} if extra else {})


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_FORM = {
    "type": "object",
    "properties": {
        "file": {**_STRING, "format": "binary", "description": "The file, with a file name."},
        "purpose": {
            "enum": list(UPLOADED),
            "description": "`batch` for lines of requests, `user_data` for an archive of media.",
        },
        ANCHOR: {"const": "created_at"},
        SECONDS: {**_INTEGER, "minimum": MIN_LIFETIME, "maximum": MAX_LIFETIME},
    },
    "required": ["file", "purpose"],
}

CREATE = _call(
    "create_file",
    "The file.",
    _json(_FILE),
    [408, 413, 415, 507],
    {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)

LIST = _call(
    "list_files",
    "Files, the newest first unless `order` is `asc`.",
    _json(
        {
            "type": "object",
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": _FILE},
                "first_id": {},
                "last_id": {},
                "has_more": _BOOLEAN,
            },
            "required": ["object", "data", "has_more"],
        }
    ),
    [],
)

RETRIEVE = _call("retrieve_file", "The file.", _json(_FILE), [404])

DELETE = _call(
    "delete_file",
    "The file is deleted.",
    _json(
        {
            "type": "object",
            "properties": {"id": _STRING, "object": {"const": "file"}, "deleted": _BOOLEAN},
            "required": ["id", "object", "deleted"],
        }
    ),
    [404],
)

_BYTES = {"application/octet-stream": {"schema": {**_STRING, "format": "binary"}}}

CONTENT = _call(
    "read_file_content",
    "The bytes of the file.",
    _BYTES,
    [404, 416],
    {
        "parameters": [
            {
                "name": "Range",
                "in": "header",
                "description": "One range of bytes; several are ignored.",
                "schema": _STRING,
                "example": "bytes=0-1023",
            }
        ]
    },
    **{"206": {"description": "The range.", "content": _BYTES}},
)
