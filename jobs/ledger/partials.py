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

LINE_TEXT = 16 * 1024
"""Most characters of a line's text; more are written as several lines."""

SLICE = 256 * 1024
"""Most bytes in one answer of Redis, more than any line has."""

REFUSED, FOREIGN = -1, -2
"""Answers of `partials.lua` instead of a length: nothing may be appended any more; another attempt has
written."""


class Appended(NamedTuple):
    """New partial answers of a leased job."""

    id: str
    token: str
    before: int
    """Length of the job's partial answers before; -1 if it is not known, because of another attempt."""
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
        """Returns what the line says. Raises msgspec.MsgspecError, or ValueError for invalid UTF-8."""
        return _DECODERS[self.kind].decode(self.json)


_DECODERS: dict[bytes, msgspec.json.Decoder[Output | Restarted]] = {
    OUTPUT: msgspec.json.Decoder(Output),
    RESTARTED: msgspec.json.Decoder(Restarted),
}


def encoded(entry: Output | Restarted) -> bytes:
    """Returns the entry as a line, or as several if its text is long."""
    if isinstance(entry, Restarted):
        return RESTARTED + msgspec.json.encode(entry) + b"\n"
    if len(entry.text) <= LINE_TEXT:
        return OUTPUT + msgspec.json.encode(entry) + b"\n"
    parts = (entry.text[at : at + LINE_TEXT] for at in range(0, len(entry.text), LINE_TEXT))
    return b"".join(encoded(Output(entry.index, part, entry.tokens)) for part in parts)


def lines(data: bytes, position: int) -> Iterator[Line]:
    """Yields the complete lines of data that begins at the position; skips what is no line of ours."""
    *found, _ = data.split(b"\n")
    for one in found:
        position += len(one) + 1
        line = Line(one[:1], one[1:], position)
        if _is_ours(line):
            yield line


def _is_ours(line: Line) -> bool:
    try:
        return line.kind in _DECODERS and line.decoded() is not None
    except (msgspec.MsgspecError, ValueError):
        return False
