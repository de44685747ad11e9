"""Storage: objects under paths such as `files/file-abc`, in a folder or a bucket.

Everything is a stream in bounded memory. An object is visible when all of it is stored, or not at all.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import obstore
from obstore.store import ObjectStore

from bulk.storage import location
from bulk.storage.outage import acceptance, availability, unavailable
from jobs.errors import ObjectNotFound, ObjectTruncated, StorageUnavailable
from jobs.settings import Settings

MIB = 1024 * 1024

PIECE = MIB
"""Bytes of an object that are read at once. Each piece is a request of its own, so a slow reader holds no
connection to the storage, and needs no more memory."""

BUFFER = 5 * MIB
"""Bytes of a part of an upload to a bucket; the least that S3 accepts."""
FOLDER_BUFFER = MIB

CONCURRENCY = 2
"""Parts of one upload that are sent at a time."""

WRITTEN = 256 * 1024
"""Bytes that are collected before obstore is called, which takes about 0.1 ms: parts may be single lines."""

LISTED = 1_000
"""Objects of a list that are yielded together."""


class StoredObject(NamedTuple):
    """An object without its content."""

    path: str
    size: int
    """Bytes."""
    modified: float
    """When it was completed, Unix seconds by the storage's clock."""


class Storage:
    """The objects of one installation.

    Its methods raise StorageUnavailable, or StorageFull if there is no space. The storage is first used when
    a method is called, so a process starts while it cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError if BATCHLINE_STORAGE_URL is not an address."""
        self._folder = location.folder_of(settings)
        self._store = None if self._folder else location.bucket(settings)
        buffer = FOLDER_BUFFER if self._folder else BUFFER
        self.memory = (CONCURRENCY + 1) * buffer + 2 * WRITTEN
        """Bytes that one `put` holds at most."""
        self._buffer = buffer

    async def put(self, path: str, parts: AsyncIterable[bytes]) -> int:
        """Stores an object, or overwrites it, and returns its size in bytes.

        It replaces an earlier one at once when the last part is stored. If `parts` raises, or the call is
        cancelled, nothing is left and the earlier object stays. Raises what `parts` raises.
        """
        with acceptance():
            writer = obstore.open_writer_async(
                await self._opened(), path, buffer_size=self._buffer, max_concurrency=CONCURRENCY
            )
        size, collected = 0, bytearray()
        try:
            async for part in parts:
                size += len(part)
                collected += part
                if len(collected) >= WRITTEN:
                    with acceptance():
                        await writer.write(bytes(collected))
                    collected.clear()
            with acceptance():
                await writer.write(bytes(collected))
                await writer.close()
        except BaseException as error:
            with suppress(Exception):  # the storage may be away: see `clean`
                await asyncio.shield(writer.__aexit__(type(error), error, None))
            raise
        if self._folder:
            with acceptance():
                await asyncio.to_thread(self._folder.sync, path)
        return size

    async def read(self, path: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields the object's bytes from `start` to `end` (exclusive; None for its end), in PIECEs.

        Raises ObjectNotFound, before the first piece or, if it is deleted meanwhile, after some; and
        ObjectTruncated if it has no bytes up to `end`.
        """
        if end is None:
            found = await self.head(path)
            if found is None:
                raise ObjectNotFound(f"there is no object {path}")
            end = found.size
        store = await self._opened()
        while start < end:
            try:
                with availability():
                    piece = await obstore.get_range_async(
                        store, path, start=start, end=min(start + PIECE, end)
                    )
            except FileNotFoundError:
                raise ObjectNotFound(f"there is no object {path}") from None
            except StorageUnavailable:  # also for a range beyond the end
                await self._check_size(path, end)
                raise
            start += len(piece)
            yield bytes(piece)

    async def _check_size(self, path: str, least: int) -> None:
        found = await self.head(path)
        if found is not None and found.size < least:
            raise ObjectTruncated(f"the object {path} has {found.size} bytes, not {least}")

    async def head(self, path: str) -> StoredObject | None:
        """Returns the object's size and time; None if there is none."""
        try:
            with availability():
                found = await obstore.head_async(await self._opened(), path)
        except FileNotFoundError:
            return None
        return StoredObject(path, found["size"], found["last_modified"].timestamp())

    async def list(self, prefix: str) -> AsyncIterator[list[StoredObject]]:
        """Yields all objects below a prefix such as `batches/batch_1`, some at a time, in no order."""
        with availability():
            stream = obstore.list(await self._opened(), prefix, chunk_size=LISTED)
        while True:
            with availability():
                try:
                    chunk = await anext(stream)
                except StopAsyncIteration:
                    return
            yield [
                StoredObject(each["path"], each["size"], each["last_modified"].timestamp()) for each in chunk
            ]

    async def delete(self, paths: Sequence[str]) -> None:
        """Deletes objects. Those that do not exist are ignored."""
        store = await self._opened()
        for first in range(0, len(paths), LISTED):
            some = paths[first : first + LISTED]
            try:
                with availability():
                    await obstore.delete_async(store, some)
            except FileNotFoundError:  # only some storages ignore it, and the others stop there
                for path in some:
                    with suppress(FileNotFoundError), availability():
                        await obstore.delete_async(store, path)

    async def clean(self, age: float) -> int:
        """Deletes what uploads of dead processes left more than `age` seconds ago; returns how many.

        Only in a folder: a bucket needs a rule for incomplete uploads (docs/deployment.md).
        """
        if self._folder is None:
            return 0
        with availability():
            return await asyncio.to_thread(self._folder.clean, age)

    async def _opened(self) -> ObjectStore:
        if self._store is None:
            assert self._folder is not None
            try:
                self._store = await asyncio.to_thread(self._folder.open)
            except OSError as error:
                raise unavailable(error) from error
        return self._store
