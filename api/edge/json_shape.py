"""Limits for any JSON: its structure, its depth and its integers."""

import re
from collections.abc import Iterator
from typing import Any

from jobs.errors import InvalidRequest

MAX_DEPTH = 100
"""Maximum levels of nesting. Deeper JSON can be decoded, but not processed by all later steps."""

INTEGERS = range(-(2**63), 2**64)
"""The integers that msgpack, the queue's format, can represent."""


MAX_CONTAINERS = 100_000
"""Maximum lists, objects and keys in one value. Decoding so many holds the GIL for about 25 ms."""

MAX_VALUES = 500_000
"""Maximum commas in one value. Decoding so many takes about 30 ms."""

PIECE = 64 * 1024
"""Bytes that are checked at once, while nothing else runs."""

_text = re.compile(rb'"[^"]*+"')
_no_marks = bytes(set(range(256)) - set(b'"[{,:'))


def check_structure(data: bytes, pointer: str) -> None:
    """Raises InvalidRequest if the JSON would take too long to decode.

    Each bracket, comma and colon may create an object of 50 bytes or more. Nothing else runs during decoding.
    """
    if not _excess(*_counted(data)):  # usually few, even if marks in texts are counted
        return
    containers = commas = 0
    for piece in marks(data):
        more = _counted(piece)
        containers, commas = containers + more[0], commas + more[1]
        if found := _excess(containers, commas):
            raise InvalidRequest(f"inputs: one input has {found}", pointer=pointer)


def _counted(data: bytes) -> tuple[int, int]:
    return data.count(b"[") + data.count(b"{") + data.count(b":"), data.count(b",")


def _excess(containers: int, commas: int) -> str:
    if containers > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS} lists, objects and keys"
    return f"more than {MAX_VALUES} values" if commas > MAX_VALUES else ""


def marks(data: bytes, step: int = PIECE) -> Iterator[bytes]:
    """The opening brackets, commas and colons of JSON outside its texts, for each `step` bytes."""
    inside = escape = False
    for start in range(0, len(data), step):
        piece = b"\\" * escape + data[start : start + step]
        escape = (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1
        if escape:  # the escaped character is in the next piece
            piece = piece[:-1]
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _no_marks)
        piece, rest, _ = _text.sub(b"", b'"' * inside + piece).partition(b'"')
        inside = bool(rest)
        yield piece


def check_shape(value: Any, pointer: str) -> None:
    """Raises InvalidRequest if the JSON is nested too deeply or has integers over 64 bits. Not recursive."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below.extend(part.values())
            elif isinstance(part, list):
                below.extend(part)
            elif type(part) is int and part not in INTEGERS:
                raise InvalidRequest("an integer has more than 64 bits", pointer=pointer)
        if not below:
            return
        level = below
    raise InvalidRequest(f"the JSON is nested more than {MAX_DEPTH} levels deep", pointer=pointer)
