"""What is deleted by itself: files whose lifetime is over, contents without a record."""

import os
import time
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from bulk.files import cleaning, keys
from bulk.files.cleaning import Cleaned
from bulk.files.file import new_id, path_of
from bulk.files.files import Files
from bulk.storage.storage import Storage
from jobs.errors import FileNotFound, StorageUnavailable
from tests.bulk.contents import once, stored
from tests.bulk.files.test_files import counted, upload


async def lapse(redis: ArqRedis, file_id: str) -> None:
    """Ends the lifetime of a file now."""
    await redis.hset(keys.FILE.of(file_id), "expires", "1")  # type: ignore[misc]
    await redis.zadd(keys.EXPIRY.of(), {file_id: 1})


async def test_an_expired_file_is_gone_at_once_and_deleted_later(
    files: Files, storage: Storage, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk.files.records.CHUNK", 2)
    monkeypatch.setattr(cleaning, "CHUNK", 2)
    kept, *made = [await upload(files) for _ in range(6)]
    for file in made:
        await lapse(redis, file.id)
        for call in (files.get, files.delete):
            with pytest.raises(FileNotFound):
                await call(file.id, sees="alice")
    page = await files.page(2, sees="alice")
    assert ([file.id for file in page.files], page.has_more) == ([kept.id], False)
    assert await files.clean() == Cleaned(expired=5)
    assert await stored(storage, "") == [kept.path]
    assert await counted(redis) == kept.bytes
    assert await redis.zcard(keys.FILES_OF.of("alice:")) == 1


async def test_processes_take_turns(files: Files, redis: ArqRedis) -> None:
    assert await files.clean() == Cleaned()
    await lapse(redis, (await upload(files)).id)
    assert await files.clean() == Cleaned(), "another process cleaned a moment ago"
    await redis.delete(keys.CLEANED.of("expired"))
    assert await files.clean() == Cleaned(expired=1)


async def test_contents_without_a_record_are_deleted(
    files: Files, storage: Storage, monkeypatch: pytest.MonkeyPatch, redis: ArqRedis
) -> None:
    file = await upload(files)
    orphan, output = path_of(new_id()), path_of("file-batch_0123456789abcdef-output")
    for path in (orphan, output):
        await storage.put(path, once(b"x"))
    assert await files.clean() == Cleaned(), "it may be recorded soon"
    await redis.delete(keys.CLEANED.of("orphans"))
    monkeypatch.setattr(cleaning, "ORPHAN_AGE", -60.0)
    assert await files.clean() == Cleaned(orphans=1), "a batch may record its file later"
    assert await stored(storage, "") == sorted([file.path, output])
    await redis.delete(keys.CLEANED.of("orphans"))
    monkeypatch.setattr(cleaning, "OUTPUT_ORPHAN_AGE", -60.0)
    assert await files.clean() == Cleaned(orphans=1)
    assert await stored(storage, "") == [file.path]


async def test_what_could_not_be_deleted_is_deleted_later(
    files: Files,
    storage: Storage,
    storage_folder: Path | None,
    redis: ArqRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, expired = await upload(files), await upload(files)
    await lapse(redis, expired.id)

    async def failing(paths: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "delete", failing)
        await files.delete(file.id, sees="alice")
        with pytest.raises(StorageUnavailable):
            await files.clean()
    assert await counted(redis) == 0
    assert len(await stored(storage, "")) == 2
    monkeypatch.setattr(cleaning, "ORPHAN_AGE", -60.0)
    assert await files.clean() == Cleaned(orphans=2)
    assert await stored(storage, "") == []


async def test_leftovers_in_the_folder_are_counted(
    files: Files, storage_folder: Path | None, redis: ArqRedis
) -> None:
    if storage_folder is None:
        pytest.skip("a bucket has a rule for them")
    await upload(files)
    left = storage_folder / f"{path_of(new_id())}#1"
    left.write_bytes(b"x")
    before = time.time() - 2 * cleaning.ORPHAN_AGE
    os.utime(left, (before, before))
    assert await files.clean() == Cleaned(partial=1)
