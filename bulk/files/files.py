"""Files: uploads, lists, reads and deletes files.

`sees` is the owner whose files the caller may see, or None for all (`jobs/ledger/ownership.py`). Methods
raise QueueUnavailable, and StorageUnavailable where contents are read or written.

1. An upload reserves its bytes in the owner's quota (`reservation.py`), and renews this while it is received.
2. Its content is stored under the new id. It is visible to nobody, because there is no record.
3. One script writes the record, and takes the reservation's place in the quota.

If a process dies before the last step, the reservation ends by itself, and `clean` deletes the content.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress

import structlog

from bulk.files import cleaning
from bulk.files.cleaning import Cleaned
from bulk.files.file import ID, File, NewFile, new_id, path_of
from bulk.files.records import Order, Page, Records, not_found
from bulk.files.reservation import Reservation
from bulk.storage.storage import Storage
from jobs.errors import ObjectNotFound, ObjectTruncated, QueueUnavailable, StorageUnavailable
from jobs.ledger.shard import Shard

log = structlog.get_logger(__name__)


class Files:
    """The files of all owners."""

    def __init__(self, first: Shard, storage: Storage) -> None:
        """`first` is `Shards.first`."""
        self._shard = first
        self._storage = storage
        self._records = Records(first)

    @property
    def memory(self) -> int:
        """Bytes that an upload holds in memory at most, however large the file is."""
        return self._storage.memory

    async def create(self, new: NewFile, parts: AsyncIterable[bytes], *, announced: int = 0) -> File:
        """Stores a file as its parts arrive, and returns its record. Raises as `receive`."""
        return await self.receive(new.owner, parts, lambda: new, announced=announced)

    async def receive(
        self,
        owner: str,
        parts: AsyncIterable[bytes],
        describe: Callable[[], NewFile],
        *,
        announced: int = 0,
    ) -> File:
        """Stores an uploaded file of which all is known only at its end, when `describe` is called.

        Raises what `parts` and `describe` raise.

        `announced`: bytes that it has at most, if that is known. Raises FileTooLarge and QuotaExceeded, as
        early as it is known; then, as after any other error, nothing is stored and nothing counts.
        """
        file_id = new_id()
        reservation = Reservation(self._shard, file_id, owner)
        described: list[NewFile] = []

        async def received() -> AsyncIterator[bytes]:
            await reservation.hold(announced, announced)
            size = 0
            async for part in parts:
                size += len(part)
                await reservation.hold(size, announced)
                yield part
            described.append(describe())

        try:
            size = await self._storage.put(path_of(file_id), received())
            [new] = described
            return await reservation.complete(new, size, self._lifetime(new), **self._records.arguments)
        except BaseException:
            with suppress(QueueUnavailable):  # then it ends by itself
                await asyncio.shield(reservation.release())
            raise

    async def get(self, file_id: str, *, sees: str | None) -> File:
        """Returns a file's record.

        Raises FileNotFound, also for one whose lifetime is over or that the caller may not see.
        """
        return await self._records.get(_checked(file_id), sees=sees)

    async def page(
        self,
        limit: int,
        *,
        after: str | None = None,
        order: Order = "desc",
        purpose: str | None = None,
        sees: str | None,
    ) -> Page:
        """Returns the newest files, or the oldest for `asc`, that follow the file `after`.

        Raises InvalidRequest.
        """
        return await self._records.page(limit, after, order, purpose, sees=sees)

    async def content(self, file: File, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes of a file. Raises FileNotFound if it is deleted meanwhile, and ObjectTruncated."""
        try:
            async for piece in self._storage.read(file.path, start, file.bytes if end is None else end):
                yield piece
        except ObjectTruncated:
            raise
        except ObjectNotFound:
            raise not_found(file.id) from None

    async def delete(self, file_id: str, *, sees: str | None) -> File:
        """Deletes a file and returns its record. Raises FileNotFound.

        A batch that reads it fails with a clear error: OpenAI allows this too.
        """
        file = await self._records.delete(_checked(file_id), sees=sees)
        try:
            await self._storage.delete([file.path])
        except StorageUnavailable:
            log.warning("content of a deleted file remains until it is cleaned", file=file.id)
        return file

    async def write(self, file_id: str, parts: AsyncIterable[bytes]) -> int:
        """Stores the content of a file of answers, and returns its size. The caller's script records it.

        It can be repeated. The script includes `clock.lua` and `bulk.files/keep.lua`, and gets
        `Records.arguments`. The owner's quota counts these bytes but does not refuse them. The id must be
        derived from the batch, and must not look like that of an upload (`file.new_id`): then contents
        without a record are kept for 31 days, so that a batch can record them whenever it is continued.
        """
        return await self._storage.put(path_of(file_id), parts)

    async def turn(self, work: str, seconds: float) -> bool:
        """Returns whether no process began this work within that time, and notes that this one begins it."""
        return await self._records.turn(work, seconds)

    async def clean(self) -> Cleaned:
        """Deletes expired files, leftovers of uploads, and contents without a record. Called each minute.

        Any number of processes may call it: they take turns.
        """
        return await cleaning.clean(self._records, self._storage)

    def _lifetime(self, new: NewFile) -> float | None:
        if new.lifetime is None and new.purpose != "user_data":
            return self._shard.settings.file_ttl
        return new.lifetime


def _checked(file_id: str) -> str:
    """The id as it is. Raises FileNotFound if no file can have it: it becomes a part of names."""
    if not ID.fullmatch(file_id):
        raise not_found(file_id)
    return file_id
