"""JSON bodies of foreign requests: decoded to a type, with errors that say what is allowed."""

import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from api.edge.decoding import readable_errors
from api.edge.json_shape import check_structure
from jobs.errors import InvalidRequest

S = TypeVar("S", bound=msgspec.Struct)

CHECKED_BYTES = 16 * 1024
"""Bytes from which on a body's structure is checked before it is decoded."""

_json = re.compile(r"\s*application/([\w.!#$&^-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def is_json(request: Request) -> bool:
    """Whether the request's content type says that its body is JSON."""
    return _json.fullmatch(request.headers.get("content-type", "")) is not None


def decoded(body: bytes | bytearray, kind: type[S]) -> S:
    """The body as that type. Raises InvalidRequest with a pointer to the wrong part."""
    decoder = _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    if not body:
        raise InvalidRequest("the body is empty; send JSON")
    if len(body) >= CHECKED_BYTES:
        check_structure(bytes(body), "")
    with readable_errors(kind):
        return decoder.decode(body)  # type: ignore[no-any-return]
