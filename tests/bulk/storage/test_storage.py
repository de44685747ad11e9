"""Objects in a folder and in a bucket: whole or not at all, read in parts, listed, deleted."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bulk.storage import storage as module
from bulk.storage.storage import Storage
from jobs.errors import ConfigurationError, ObjectNotFound, ObjectTruncated, StorageUnavailable
from jobs.settings import Settings
from tests.bulk import s3_server
from tests.bulk.contents import files_in, once, parts, read, stored
from tests.waiting import until

LARGE = bytes(range(256)) * 4096 * 12
"""12 MiB: several parts of an upload to a bucket, none of which is the same as its neighbour when shifted."""


@pytest.mark.parametrize("size", [0, 1, module.WRITTEN, module.BUFFER + 1, len(LARGE)])
async def test_what_is_put_can_be_read(storage: Storage, size: int) -> None:
    content = LARGE[:size]
    assert await storage.put("files/one", parts(content, 100_000)) == size
    assert await read(storage, "files/one") == content
    found = await storage.head("files/one")
    assert found is not None
    assert (found.path, found.size) == ("files/one", size)


async def test_single_lines_are_stored_together(storage: Storage) -> None:
    await storage.put("lines", parts(b"0123456789\n" * 20_000, 11))
    assert await read(storage, "lines") == b"0123456789\n" * 20_000


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (5, 5), (1_000_000, 3_500_000), (len(LARGE) - 1, None), (len(LARGE), None)]
)
async def test_a_range_is_read(storage: Storage, start: int, end: int | None) -> None:
    await storage.put("files/large", once(LARGE))
    found = b"".join([piece async for piece in storage.read("files/large", start, end)])
    assert found == LARGE[start:end]


async def test_a_new_content_replaces_the_old_one(storage: Storage) -> None:
    await storage.put("part", once(LARGE))
    await storage.put("part", once(b"new"))
    assert await read(storage, "part") == b"new"


class Broken(Exception):
    """What a source of parts may raise."""


@pytest.mark.parametrize("size", [10, len(LARGE)])
async def test_an_interrupted_put_leaves_nothing(storage: Storage, size: int) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        async for part in parts(LARGE[:size], 1_000_000):
            yield part
        raise Broken

    with pytest.raises(Broken):
        await storage.put("files/one", breaking())
    assert await storage.head("files/one") is None
    assert await stored(storage, "") == []
    await storage.put("files/one", once(b"before"))
    with pytest.raises(Broken):
        await storage.put("files/one", breaking())
    assert await read(storage, "files/one") == b"before"


async def test_a_cancelled_put_leaves_nothing(storage: Storage, storage_folder: Path | None) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield LARGE[:100_000]
        await asyncio.Event().wait()

    putting = asyncio.create_task(storage.put("files/one", endless()))

    async def has_sent() -> bool:
        return sent == 100

    await until(has_sent)
    assert await storage.head("files/one") is None, "nothing is visible before the end"
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await stored(storage, "") == []
    if storage_folder:
        assert files_in(storage_folder) == []


async def test_what_is_not_there(storage: Storage) -> None:
    assert await storage.head("files/none") is None
    assert await stored(storage, "files") == []
    for end in (None, 10):
        with pytest.raises(ObjectNotFound):
            await anext(storage.read("files/none", 0, end))
    await storage.delete(["files/none", "files/other"])


async def test_a_prefix_is_listed_and_deleted(storage: Storage) -> None:
    names = [f"batches/one/parts/{number}" for number in range(5)]
    for name in [*names, "batches/one-more", "batches/two/parts/0"]:
        await storage.put(name, once(name.encode()))
    assert await stored(storage, "batches/one") == names
    await storage.delete([*names, "batches/one/parts/none"])
    assert await stored(storage, "batches") == ["batches/one-more", "batches/two/parts/0"]


async def test_an_object_may_become_shorter_while_it_is_read(storage: Storage) -> None:
    await storage.put("files/one", once(LARGE))
    pieces = storage.read("files/one")
    await anext(pieces)
    await storage.put("files/one", once(b"short"))
    with pytest.raises(ObjectTruncated, match="has 5 bytes, not 12582912"):
        await anext(pieces)
    with pytest.raises(ObjectTruncated):
        [piece async for piece in storage.read("files/one", 2, 6)]


async def test_an_object_may_be_deleted_while_it_is_read(storage: Storage) -> None:
    await storage.put("files/one", once(LARGE))
    pieces = storage.read("files/one")
    assert len(await anext(pieces)) == module.PIECE
    await storage.delete(["files/one"])
    with pytest.raises(ObjectNotFound):
        await anext(pieces)


async def test_a_storage_that_is_away_is_said_so(away: Storage) -> None:
    for call in (
        away.put("files/one", once(b"x")),
        away.head("files/one"),
        away.delete(["files/one"]),
        stored(away, "files"),
        read(away, "files/one"),
    ):
        with pytest.raises(StorageUnavailable):
            await call


@pytest.mark.parametrize("body", [b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>", b""])
async def test_a_bucket_that_does_not_exist_is_said_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """The S3 server of the other tests makes a bucket when it is first used."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if sized := re.search(rb"content-length: (\d+)", head.lower()):
            await reader.readexactly(int(sized[1]))
        writer.write(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(b"" if head.startswith(b"HEAD") else body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        for name, value in s3_server.environment(server.sockets[0].getsockname()[1]).items():
            monkeypatch.setenv(name, value)
        storage = Storage(settings.model_copy(update={"storage_url": "s3://none/prefix"}))
        calls: list[Callable[[], Awaitable[object]]] = [lambda: storage.put("files/one", once(b"x"))]
        if body:  # else a read cannot know which of both is missing
            calls += [
                lambda: storage.put("files/one", once(LARGE)),
                lambda: anext(storage.read("files/one", 0, 1)),
                lambda: stored(storage, "files"),
            ]
        for call in calls:
            with pytest.raises(StorageUnavailable, match="BATCHLINE_STORAGE_URL does not exist"):
                await call()


@pytest.mark.parametrize("url", ["files", "s3://", "ftp://host/x", "file://host/x", "file:///", "http://a/b"])
def test_an_address_that_cannot_be_is_refused(settings: Settings, url: str) -> None:
    with pytest.raises(ConfigurationError, match="BATCHLINE_STORAGE_URL"):
        Storage(settings.model_copy(update={"storage_url": url}))


def test_the_folder_may_be_named(settings: Settings, tmp_path: Path) -> None:
    given = settings.model_copy(update={"storage_url": f"file://{tmp_path}/my%20files"})
    asyncio.run(Storage(given).put("a/b", once(b"x")))
    assert (tmp_path / "my files" / "a" / "b").read_bytes() == b"x"
