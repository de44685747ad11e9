"""What JSON may look like whatever it means: its structure, its depth, its integers."""

import re
from collections.abc import Iterator
from typing import Any

from jobs.errors import InvalidRequest

MAX_DEPTH = 100
"""Levels of nesting; deeper JSON could be decoded, but not by everything that handles it later."""

INTEGERS = range(-(2**63), 2**64)
"""What msgpack, the queue's format, can hold."""


MAX_CONTAINERS = 100_000
"""Lists, objects and keys in one value: decoding so many holds the interpreter's lock for some 25 ms."""

MAX_VALUES = 500_000
"""Commas in one value, with which the same takes some 30 ms."""

PIECE = 64 * 1024
"""Bytes that are looked at while nothing else runs."""

_text = re.compile(rb'"[^"]*+"')
_no_marks = bytes(set(range(256)) - set(b'"[{,:'))


def check_structure(data: bytes, pointer: str) -> None:
    """Refuses JSON that would be too much work to decode. Raises InvalidRequest.

    Each bracket, comma and colon may cost an object of 50 bytes and more, and decoding lets nothing else run.
    """
    if not _too_much(*_counted(data)):  # as a rule; then it need not be known what is in texts
        return
    containers = commas = 0
    for piece in marks(data):
        more = _counted(piece)
        containers, commas = containers + more[0], commas + more[1]
        if found := _too_much(containers, commas):
            raise InvalidRequest(f"inputs: one input has {found}", pointer=pointer)


def _counted(data: bytes) -> tuple[int, int]:
    return data.count(b"[") + data.count(b"{") + data.count(b":"), data.count(b",")


def _too_much(containers: int, commas: int) -> str:
    if containers > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS} lists, objects and keys"
    return f"more than {MAX_VALUES} values" if commas > MAX_VALUES else ""


def marks(data: bytes, step: int = PIECE) -> Iterator[bytes]:
    """The opening brackets, commas and colons of JSON that are in no text, of `step` bytes at a time."""
    inside = escape = False
    for start in range(0, len(data), step):
        piece = b"\\" * escape + data[start : start + step]
        escape = (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1
        if escape:  # what it escapes is in the next piece
            piece = piece[:-1]
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _no_marks)
        piece, rest, _ = _text.sub(b"", b'"' * inside + piece).partition(b'"')
        inside = bool(rest)
        yield piece


def check_shape(value: Any, pointer: str) -> None:
    """Refuses JSON that the queue's format or its readers cannot take; level by level: it needs no stack."""
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
