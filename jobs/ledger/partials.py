"""Partial answers of a job, as they are in Redis and in messages: lines in the order of their appending.

A line is `o` and a JSON object with the `index` of the input, new `text` and the number of `tokens` so far,
or `r` and an object with the `index` alone: the answer to this input starts again, its text so far is void.
JSON has no line breaks. The position after a line is the number of bytes up to it. Nothing is ever removed
from the beginning, so a reader continues at its position.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

OUTPUT, RESTARTED = b"o", b"r"
"""First bytes of lines."""


class Appended(NamedTuple):
    """New partial answers of a leased job."""

    id: str
    token: str
    before: int
    """Length of the job's partial answers before; -1 if not known."""
    lines: bytes


class Output(msgspec.Struct, frozen=True):
    """More of the answer to one input."""

    index: int
    text: str
    """What is new since the last one."""
    tokens: int
    """Tokens generated so far in total."""


class Restarted(msgspec.Struct, frozen=True):
    """The answer to this input starts again: its text so far is void."""

    index: int


class Line(NamedTuple):
    """A line, and the position after it."""

    kind: bytes
    json: bytes
    position: int

    def decoded(self) -> Output | Restarted:
        """Returns what the line says. Raises msgspec.MsgspecError."""
        if self.kind == OUTPUT:
            return msgspec.json.decode(self.json, type=Output)
        return msgspec.json.decode(self.json, type=Restarted)


def encoded(entry: Output | Restarted) -> bytes:
    """Returns the entry as a line."""
    kind = OUTPUT if isinstance(entry, Output) else RESTARTED
    return kind + msgspec.json.encode(entry) + b"\n"


def lines(data: bytes, position: int) -> Iterator[Line]:
    """Yields the complete lines of data that begins at the position; skips what is no line of ours."""
    *found, _ = data.split(b"\n")
    for line in found:
        position += len(line) + 1
        if line[:1] in (OUTPUT, RESTARTED):
            yield Line(line[:1], line[1:], position)
