"""Files: uploads, lists, reads and deletes files.

`sees` is the owner whose files the caller may see, or None for all (`jobs/ledger/ownership.py`). Methods
raise QueueUnavailable, and StorageUnavailable where contents are read or written.

1. An upload reserves its bytes in the owner's quota, with a lifetime of a minute that is renewed while it is
   received.
2. Its content is stored under the new id. It is visible to nobody, because there is no record.
3. One script writes the record, and takes the reservation's place in the quota.

If a process dies before the last step, the reservation ends by itself, and `clean` deletes the content.
"""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Literal, NamedTuple

from bulk.files.file import File, NewFile
from bulk.storage.storage import Storage
from jobs.ledger.shard import Shard

Order = Literal["asc", "desc"]

MAX_FILES = 100_000
"""Most files of an owner. Each takes about 400 bytes of Redis' memory, however small it is."""


class Page(NamedTuple):
    """Files of a list."""

    files: list[File]
    has_more: bool


class Cleaned(NamedTuple):
    """What one cleaning deleted."""

    expired: int = 0
    """Files whose lifetime was over."""
    partial: int = 0
    """Leftovers of uploads in the folder."""
    orphans: int = 0
    """Contents without a record."""


class Files:
    """The files of all owners."""

    def __init__(self, first: Shard, storage: Storage) -> None:
        """`first` is `Shards.first`."""
        self._shard = first
        self._storage = storage

    async def create(self, new: NewFile, parts: AsyncIterable[bytes], *, announced: int = 0) -> File:
        """Stores an uploaded file as its parts arrive, and returns its record. Raises what `parts` raises.

        `announced`: bytes that it has at most, if the sender said so. Raises FileTooLarge and QuotaExceeded,
        as early as it is known; then, as after any other error, nothing is stored and nothing counts.
        """
        raise NotImplementedError

    async def get(self, file_id: str, *, sees: str | None) -> File:
        """Returns a file's record. Raises FileNotFound, also for one that expired or that the caller may not
        see."""
        raise NotImplementedError

    async def page(
        self,
        limit: int,
        *,
        after: str | None = None,
        order: Order = "desc",
        purpose: str | None = None,
        sees: str | None,
    ) -> Page:
        """Returns the newest files, or the oldest for `asc`, that follow the file `after`. Raises
        InvalidRequest."""
        raise NotImplementedError

    def content(self, file: File, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes of a file. Raises FileNotFound if it is deleted meanwhile."""
        raise NotImplementedError

    async def delete(self, file_id: str, *, sees: str | None) -> File:
        """Deletes a file and returns its record. Raises FileNotFound.

        A batch that reads it fails with a clear error: OpenAI allows this too.
        """
        raise NotImplementedError

    async def write(self, file_id: str, parts: AsyncIterable[bytes]) -> int:
        """Stores the content of a file of answers, and returns its size. Its record is written by the
        caller's script.

        It can be repeated. The script includes `bulk.files/keep.lua` and must run within an hour: after that
        `clean` deletes contents without a record. The owner's quota counts these bytes but does not refuse
        them.
        """
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """Returns the keys and arguments that `bulk.files/keep.lua` declares."""
        raise NotImplementedError

    async def clean(self) -> Cleaned:
        """Deletes expired files, leftovers of uploads, and contents without a record. Called each minute.

        Any number of processes may call it: only one of them works at a time.
        """
        raise NotImplementedError
