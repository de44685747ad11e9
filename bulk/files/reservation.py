"""Reservation: the bytes of an owner's quota that an upload holds while it is received.

Redis forgets it unless it is renewed, so an upload whose process died does not count for long.
"""

import time
from typing import Any

from bulk.files import keys
from bulk.files.file import File, NewFile
from bulk.files.records import script
from jobs.errors import FileTooLarge, QuotaExceeded, StorageUnavailable
from jobs.ledger.shard import Shard

LIFETIME = 300.0
"""Seconds for which a reservation counts after its newest renewal; far less than the age of an orphan
(`cleaning.py`), so that no record is written for a content that was deleted."""

RENEW_EVERY = 60.0

STEP = 16 * 1024 * 1024
"""Bytes that are reserved at once, if there are so many, for a file whose size was not announced."""
FIRST_STEP = 1024 * 1024

MAX_FILES = 100_000
"""Most files of an owner. Each takes about 750 bytes of Redis' memory, however small it is."""

MAX_UPLOADS = 256
"""Most uploads of an owner at a time."""


class Reservation:
    """The part of the quota of one upload. Its methods raise QueueUnavailable."""

    def __init__(self, first: Shard, file_id: str, owner: str) -> None:
        """`first` is `Shards.first`."""
        self._shard = first
        self._settings = first.settings
        self._names: dict[str, Any] = {
            "id": file_id,
            "owner": owner,
            "uploads": first.key(keys.UPLOADS, owner),
            "files_stored": first.key(keys.STORED),
        }
        self._list = first.key(keys.FILES_OF, f"{owner}:")
        self._reserved = 0
        self._renewed = 0.0

    async def hold(self, size: int, announced: int = 0) -> None:
        """Reserves at least `size` bytes, and renews in time. Most calls need no round trip.

        Raises FileTooLarge and QuotaExceeded.
        """
        most = self._settings.max_file_bytes
        if size > most:
            raise FileTooLarge(
                f"the file is larger than {most} bytes (BATCHLINE_MAX_FILE_BYTES)", max_bytes=most
            )
        now = time.monotonic()
        if size > self._reserved:
            step = self._reserved + (STEP if self._reserved else FIRST_STEP)
            # a gzipped body is larger than announced
            await self._reserve(size, min(most, announced if size <= announced else step))
        elif now - self._renewed > RENEW_EVERY:
            await self._reserve(self._reserved)

    async def complete(self, new: NewFile, size: int, lifetime: float | None, **arguments: Any) -> File:
        """Makes the file of which the content is stored visible, in place of the reservation."""
        answer = await self._shard.run(
            script("complete"),
            **{**arguments, **self._names},
            purpose=new.purpose,
            filename=new.filename,
            bytes=size,
            lifetime=int(1000 * (lifetime or 0)),
        )
        if answer is None:
            raise StorageUnavailable("the file was not stored in time")
        created, expires = answer
        return File(
            id=self._names["id"],
            owner=new.owner,
            purpose=new.purpose,
            bytes=size,
            created=int(created),
            expires=int(expires) if expires else None,
            filename=new.filename,
        )

    async def release(self) -> None:
        """Ends the reservation of an upload that failed."""
        if self._renewed:
            await self._shard.run(script("release"), **self._names)

    async def _reserve(self, size: int, wanted: int = 0) -> None:
        answer = await self._shard.run(
            script("reserve"),
            **self._names,
            list=self._list,
            bytes=size,
            wanted=wanted,
            lifetime=int(LIFETIME * 1000),
            most_bytes=self._settings.max_stored_bytes,
            most_files=MAX_FILES,
            most_uploads=MAX_UPLOADS,
        )
        match answer:
            case b"bytes":
                raise QuotaExceeded(
                    f"with this file, your files would have more than {self._settings.max_stored_bytes} bytes"
                    " (BATCHLINE_MAX_STORED_BYTES); delete some first"
                )
            case b"files":
                raise QuotaExceeded(f"you have {MAX_FILES} files, as many as you may have; delete some first")
            case b"uploads":
                raise QuotaExceeded(f"{MAX_UPLOADS} files of yours are being uploaded; wait until some are")
        self._reserved, self._renewed = answer, time.monotonic()
