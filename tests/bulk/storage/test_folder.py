"""What only a folder has: leftovers of dead processes, a full disk."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bulk.storage.storage import Storage
from jobs.errors import StorageFull, StorageUnavailable
from jobs.settings import Settings
from tests.bulk.contents import files_in, once, read, stored
from tests.waiting import until

DYING = """
import asyncio, sys
from bulk.storage.storage import Storage
from jobs.settings import Settings

async def parts():
    yield bytes(8 * 1024 * 1024)
    print("received", flush=True)
    await asyncio.Event().wait()

asyncio.run(Storage(Settings(data_dir=sys.argv[1])).put("files/one", parts()))
"""


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage(settings)


@pytest.fixture
def dying(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has received a part of an object."""
    command = [sys.executable, "-c", DYING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"received\n"
        yield process
        process.kill()


async def test_what_a_killed_process_left_is_cleaned(
    storage: Storage, dying: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    await storage.put("files/whole", once(b"x"))
    folder = tmp_path / "files"

    async def written() -> bool:
        return len(files_in(folder)) == 2

    await until(written)
    dying.kill()
    dying.wait()
    assert await stored(storage, "files") == ["files/whole"], "nobody sees it"
    assert await storage.clean(3600) == 0, "it may still be received"
    [left] = [path for path in files_in(folder) if path.name != "whole"]
    before = time.time() - 3601
    os.utime(left, (before, before))
    assert await storage.clean(3600) == 1
    assert [path.name for path in files_in(folder)] == ["whole"]
    assert await storage.clean(3600) == 0


async def test_old_empty_folders_are_deleted(storage: Storage, tmp_path: Path) -> None:
    await storage.put("batches/one/parts/0", once(b"x"))
    await storage.delete(["batches/one/parts/0"])
    parts = tmp_path / "files" / "batches" / "one" / "parts"
    assert await storage.clean(3600) == 0
    assert parts.is_dir(), "another part may be written to it"
    before = time.time() - 3601
    os.utime(parts, (before, before))
    await storage.clean(3600)
    assert not parts.exists()
    await storage.put("batches/one/parts/0", once(b"x"))
    assert await read(storage, "batches/one/parts/0") == b"x"


@contextmanager
def full_from(size: int) -> Iterator[None]:
    """No file of this process can become larger: the system refuses the rest, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [200_000, 5_000_000])
async def test_a_full_disk_leaves_nothing_and_is_said_so(storage: Storage, tmp_path: Path, size: int) -> None:
    with full_from(100_000), pytest.raises(StorageFull):
        await storage.put("files/one", once(bytes(size)))
    assert files_in(tmp_path / "files") == []
    await storage.put("files/one", once(bytes(size)))


async def test_a_folder_that_cannot_be_made_is_unavailable(settings: Settings) -> None:
    storage = Storage(settings.model_copy(update={"data_dir": Path("/proc/none")}))
    with pytest.raises(StorageUnavailable):
        await storage.put("files/one", once(b"x"))
