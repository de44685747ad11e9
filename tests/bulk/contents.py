"""Contents as streams, and streams as contents."""

from collections.abc import AsyncIterator
from pathlib import Path

from bulk.storage.storage import Storage


async def parts(content: bytes, size: int) -> AsyncIterator[bytes]:
    """A content in parts of that size."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def read(storage: Storage, path: str) -> bytes:
    return b"".join([piece async for piece in storage.read(path)])


async def stored(storage: Storage, prefix: str) -> list[str]:
    """The paths below a prefix, sorted."""
    return sorted([each.path async for some in storage.list(prefix) for each in some])


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, unfinished ones too."""
    return [path for path in folder.rglob("*") if path.is_file()]
