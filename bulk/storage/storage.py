"""Storage: objects under paths such as `files/file-abc`, in a folder or a bucket.

Everything is a stream in bounded memory. An object is visible when all of it is stored, or not at all.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import NamedTuple

from jobs.settings import Settings


class StoredObject(NamedTuple):
    """An object without its content."""

    path: str
    size: int
    """Bytes."""
    modified: float
    """When it was completed, Unix seconds by the storage's clock."""


class Storage:
    """The objects of one installation. Its methods raise StorageUnavailable, or StorageFull if there is no
    space.

    The storage is first used when a method is called, so a process starts while it cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError if BATCHLINE_STORAGE_URL is not an address."""
        raise NotImplementedError

    async def put(self, path: str, parts: AsyncIterable[bytes]) -> int:
        """Stores an object, or overwrites it, and returns its size in bytes.

        It replaces an earlier one at once when the last part is stored. If `parts` raises, or the call is
        cancelled, nothing is left and the earlier object stays. Raises what `parts` raises.
        """
        raise NotImplementedError

    def read(self, path: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields the object's bytes from `start` to `end` (exclusive; None for its end), in pieces of about 1
        MiB.

        Raises ObjectNotFound, before the first piece or, if it is deleted meanwhile, after some.
        """
        raise NotImplementedError

    async def head(self, path: str) -> StoredObject | None:
        """Returns the object's size and time; None if there is none."""
        raise NotImplementedError

    def list(self, prefix: str) -> AsyncIterator[list[StoredObject]]:
        """Yields all objects below a prefix such as `batches/batch_1`, some at a time, in no order."""
        raise NotImplementedError

    async def delete(self, paths: Sequence[str]) -> None:
        """Deletes objects. Those that do not exist are ignored."""
        raise NotImplementedError

    async def clean(self, age: float) -> int:
        """Deletes what uploads of dead processes left more than `age` seconds ago; returns how many.

        Only in a folder: a bucket needs a rule for incomplete uploads (docs/deployment.md).
        """
        raise NotImplementedError
