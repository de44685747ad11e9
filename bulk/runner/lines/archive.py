"""Archive: reads entries of a zip archive in storage by their names, each when it is wanted.

Only the directory is kept in memory. An entry is read by range and unpacked in bounded memory, however small
its compressed data are and whatever its header says.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from bulk.runner.lines import zip_directory as zips
from bulk.runner.lines.zip_directory import BadArchive, Entry

Read = Callable[[int, int], AsyncIterator[bytes]]
"""Reads bytes of the file, from the first place to the second, in pieces."""

STORED, DEFLATED = 0, 8
"""Methods of compression that are read."""


class Archive(NamedTuple):
    """A zip archive whose directory was read."""

    size: int
    """Bytes of the file."""
    entries: dict[str, Entry | None]

    @classmethod
    async def open(cls, read: Read, size: int) -> "Archive":
        """Reads the directory. Raises BadArchive, and what `read` raises."""
        place = zips.place_of_end(await _bytes(read, max(0, size - zips.TAIL), size), size)
        if isinstance(place, int):
            record = await _bytes(read, min(place, size), min(place + zips.END_64_BYTES, size))
            place = zips.place_of_end_64(record, size)
        directory = await _bytes(read, place.start, place.start + place.size)
        return cls(size, await asyncio.to_thread(zips.entries, directory))

    async def content(self, name: str, read: Read, most: int) -> bytes:
        """The content of an entry, of at most so many bytes. Raises BadArchive, and what `read` raises."""
        entry = self._entry(name, most)
        start = zips.data_start(
            await _bytes(read, entry.start, min(entry.start + zips.LOCAL_BYTES, self.size)), entry
        )
        end = start + entry.compressed
        if end > self.size:
            raise BadArchive("the entry is not complete")
        unpack = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
        content = bytearray()
        try:
            async for piece in read(start, end):
                # one byte more than declared shows that the header is wrong
                content += (
                    piece if unpack is None else unpack.decompress(piece, entry.size + 1 - len(content))
                )
                if len(content) > entry.size or (unpack is not None and unpack.unconsumed_tail):
                    raise BadArchive("the entry is larger than the directory of the archive says")
                if unpack is not None and unpack.eof:
                    break  # zlib would keep all that follows
        except zlib.error:
            raise BadArchive("the entry is damaged") from None
        if len(content) != entry.size or zlib.crc32(content) != entry.checksum:
            raise BadArchive("the entry is damaged")
        return bytes(content)

    def _entry(self, name: str, most: int) -> Entry:
        wanted = zips.normalised(name)
        if wanted is None or wanted not in self.entries:
            raise BadArchive("the archive has no entry of this name")
        entry = self.entries[wanted]
        if entry is None:
            raise BadArchive("the archive has several entries of this name")
        if entry.encrypted:
            raise BadArchive("the entry is encrypted")
        if entry.method not in (STORED, DEFLATED):
            raise BadArchive("the entry is compressed in a way that is not supported; use deflate or none")
        if entry.size > most:
            raise BadArchive(f"the entry has {entry.size:,} bytes, more than the limit of {most:,}")
        if entry.start > self.size or entry.compressed > self.size:
            raise BadArchive("the entry is not complete")
        return entry


async def _bytes(read: Read, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in read(start, end)])
