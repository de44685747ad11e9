"""Cuts the lines of a source into files that one batch each may have."""

import tempfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from cli.batch.errors import CannotContinue
from cli.batch.requests import Line, Source


class Limits(NamedTuple):
    """What one batch may have."""

    lines: int
    bytes: int


class PartFile(NamedTuple):
    """The file of one batch. It has no name, and is gone when the next one is asked for."""

    file: BinaryIO
    lines: int


def files(source: Source, skipped: int, limits: Limits) -> Iterator[PartFile]:
    """The files after the first `skipped` lines, each made when it is asked for. Raises CannotContinue."""
    lines = source.lines()
    for _ in range(skipped):
        next(lines, None)
    held = next(lines, None)
    while held is not None:
        with tempfile.TemporaryFile() as file:  # on disk, so that its size is known and it can be sent again
            written, size = 0, 0
            while held is not None and written < limits.lines and size + _size(held) <= limits.bytes:
                file.write(held.data + b"\n")
                written, size = written + 1, size + _size(held)
                held = next(lines, None)
            if not written and held is not None:
                raise CannotContinue(
                    f"request {held.custom_id} has {_size(held):,} bytes; a batch may have {limits.bytes:,}"
                )
            yield PartFile(file, written)


def _size(line: Line) -> int:
    return len(line.data) + 1
