"""The objects of a batch that runs: a copy of its input, the list of its chunks, and a part for each chunk.

All are below `batches/<id>/`, and are deleted after the end. A name is used by one runner only, and Redis has
the names that count: what a runner writes that has lost its lease changes nothing.
"""

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from bulk.batches.runs import Part
from bulk.runner.input_lines import decoded, split
from bulk.runner.lines.interface import Line, Rows
from bulk.storage.storage import Storage
from jobs.errors import ObjectTruncated

FOLDER = "batches"
"""Where the objects of all batches are stored."""


class Chunk(NamedTuple):
    """A range of lines of the input."""

    offset: int
    """Bytes before its first line."""
    size: int
    """Bytes."""
    first: int
    """Number of its first line."""
    lines: int
    """Lines that are not blank."""


class _Table(msgspec.Struct, frozen=True):
    chunks: list[Chunk]


_table = msgspec.msgpack.Decoder(_Table)


class Parts:
    """The objects of one batch. Methods raise StorageUnavailable."""

    def __init__(self, storage: Storage, batch_id: str) -> None:
        self._storage = storage
        self._folder = f"{FOLDER}/{batch_id}"

    async def put_input(self, name: str, parts: AsyncIterable[bytes]) -> None:
        """Stores the copy of the input, so that its file may be deleted while the batch runs."""
        await self._storage.put(f"{self._folder}/{name}.input", parts)

    async def put_table(self, name: str, chunks: Sequence[Chunk]) -> None:
        """Stores the list of chunks under the name of its input."""
        await self._put(f"{name}.chunks", msgspec.msgpack.encode(_Table(list(chunks))))

    async def table(self, name: str) -> list[Chunk]:
        """Returns the list of chunks. Raises ObjectNotFound."""
        path = f"{self._folder}/{name}.chunks"
        found = [part async for part in self._storage.read(path)]
        try:
            return _table.decode(b"".join(found)).chunks
        except msgspec.DecodeError:  # its size is recorded nowhere
            raise ObjectTruncated(f"the object {path} is not complete") from None

    async def lines(self, name: str, chunk: Chunk, endpoint: str) -> list[Line]:
        """Returns the lines of a chunk. Raises ObjectNotFound."""
        longest = chunk.size  # they are valid, also if a setting was reduced since then
        path, end = f"{self._folder}/{name}.input", chunk.offset + chunk.size
        found: list[Line] = []
        async for line in split(self._storage.read(path, chunk.offset, end), longest):
            numbered = line._replace(number=chunk.first + line.number - 1)
            found.append(decoded(numbered, endpoint, longest))
        assert len(found) == chunk.lines, f"{len(found)} lines in {chunk}"
        return found

    async def put_part(self, chunk: int, rows: Rows) -> Part:
        """Stores the rows of a chunk as one object, and returns its name and sizes."""
        output, errors = _joined(rows.output), _joined(rows.errors)
        part = Part(
            f"{chunk}-{secrets.token_hex(4)}", len(rows.output), len(rows.errors), len(output), len(errors)
        )
        await self._put(part.name, output + errors)
        return part

    async def output(self, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        """Yields the rows of the output file. Raises ObjectNotFound."""
        for part in parts:
            if part.output_bytes:
                async for piece in self._storage.read(f"{self._folder}/{part.name}", 0, part.output_bytes):
                    yield piece

    async def errors(self, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        """Yields the rows of the error file. Raises ObjectNotFound."""
        for part in parts:
            if part.error_bytes:
                end = part.output_bytes + part.error_bytes
                path = f"{self._folder}/{part.name}"
                async for piece in self._storage.read(path, part.output_bytes, end):
                    yield piece

    async def delete(self) -> None:
        """Deletes all objects of the batch."""
        async for some in self._storage.list(self._folder):
            await self._storage.delete([found.path for found in some])

    async def _put(self, name: str, content: bytes) -> None:
        async def whole() -> AsyncIterator[bytes]:
            yield content

        await self._storage.put(f"{self._folder}/{name}", whole())


def _joined(rows: Sequence[bytes]) -> bytes:
    return b"".join([part for row in rows for part in (row, b"\n")])
