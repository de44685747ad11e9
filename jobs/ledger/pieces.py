"""The fields of a hash that hold one large value in pieces, so that a part of it can be read by itself.

A value NAME is in the fields NAME, NAME/1, NAME/2 and so on. A small one is in a single field.
"""

from collections.abc import Iterator

PIECE = 1024 * 1024
"""Bytes of each piece but the last."""

MAX_PIECES = 4_096
"""Most pieces of a value. A size above them is no size of ours: another program may have written it."""

SIZE = "/size"
"""The end of the field with the size of a file in several pieces. Nothing else has it."""


def fields(name: str, size: int) -> list[str]:
    """Returns the fields of a value of so many bytes, in order."""
    count = -(-size // PIECE)
    return [field(name, number) for number in range(count if 0 < count <= MAX_PIECES else 1)]


def field(name: str, number: int) -> str:
    """Returns the field of one piece, counted from 0."""
    return f"{name}/{number}" if number else name


def split(name: str, value: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields each field with its piece."""
    if len(value) <= PIECE:
        yield name, value
        return
    for number, each in enumerate(fields(name, len(value))):
        yield each, value[number * PIECE : (number + 1) * PIECE]
