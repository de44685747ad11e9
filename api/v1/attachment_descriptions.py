"""The OpenAPI description of the calls in `api/v1/attachments.py`."""

from typing import Any

from api.v1.openapi import header, parameter, problem_answers
from jobs.media.files import EXTENSIONS
from jobs.media.formats import FORMATS

_PART = parameter("Range", "One range of bytes; several are ignored.", "bytes=0-1023")


def _content(*types: str) -> dict[str, Any]:
    return {each: {"schema": {"type": "string", "format": "binary"}} for each in types}


def _call(operation_id: str, what: str, *types: str) -> dict[str, Any]:
    named = {"Content-Disposition": header("A name for the file.")}
    return {
        "operation_id": operation_id,
        "responses": {
            200: {"description": f"{what}.", "headers": named, "content": _content(*types)},
            206: {
                "description": "The requested part.",
                "headers": named | {"Content-Range": header("`bytes FIRST-LAST/SIZE`.")},
                "content": _content(*types),
            },
            **problem_answers(
                "not-found",
                "unknown-job",
                "job-gone",
                "range-not-satisfiable",
                "invalid-request",
                "server-busy",
                "redis-unavailable",
            ),
        },
        "openapi_extra": {"parameters": [_PART]},
    }


FILE = _call("read_file", "The file", *EXTENSIONS)
_MEDIA = [each.content_type for each in FORMATS]
INPUT = _call("read_input", "The medium", *dict.fromkeys(_MEDIA), "application/octet-stream")
