"""Files: recorded when all of them is stored, listed with cursors, owned, counted, deleted."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from arq.connections import ArqRedis

from bulk.files import keys, reservation
from bulk.files.file import File, NewFile, Purpose
from bulk.files.files import Files
from bulk.storage.storage import Storage
from jobs.errors import (
    FileNotFound,
    FileTooLarge,
    InvalidRequest,
    QueueUnavailable,
    QuotaExceeded,
    StorageUnavailable,
)
from jobs.ledger.shards import Shards
from jobs.settings import Settings
from jobs.store.store import Server
from tests.bulk.contents import once, parts, stored
from tests.waiting import until


def new(owner: str = "alice", purpose: Purpose = "batch", lifetime: float | None = None) -> NewFile:
    return NewFile(owner=owner, purpose=purpose, filename="lines.jsonl", lifetime=lifetime)


async def upload(files: Files, content: bytes = b"a line\n", **how: object) -> File:
    described = new(**how)  # type: ignore[arg-type]
    return await files.create(described, once(content))


async def counted(redis: ArqRedis, owner: str = "alice") -> int:
    return int(await redis.hget(keys.STORED.of(), owner) or 0)  # type: ignore[misc]


async def uploading(redis: ArqRedis, owner: str = "alice") -> int:
    return int(await redis.hlen(keys.UPLOADS.of(owner)))  # type: ignore[misc]


async def test_an_uploaded_file_can_be_read_by_its_owner(files: Files, redis: ArqRedis) -> None:
    content = bytes(range(256)) * 20_000
    file = await files.create(new(), parts(content, 70_000))
    assert (file.owner, file.bytes, file.purpose, file.filename) == (
        "alice",
        len(content),
        "batch",
        "lines.jsonl",
    )
    assert file.expires == file.created + 30 * 86_400_000
    assert await files.get(file.id, sees="alice") == file == await files.get(file.id, sees=None)
    assert b"".join([piece async for piece in files.content(file)]) == content
    assert b"".join([piece async for piece in files.content(file, 100, 300)]) == content[100:300]
    assert await counted(redis) == len(content)
    assert await uploading(redis) == 0


async def test_another_owners_file_is_not_there(files: Files) -> None:
    file = await upload(files)
    for call in (files.get, files.delete):
        for file_id, sees in ((file.id, "bob"), (file.id, ""), ("file-none00000", "alice"), ("../x", None)):
            with pytest.raises(FileNotFound):
                await call(file_id, sees=sees)
    assert (await files.page(10, sees="bob")).files == []
    with pytest.raises(InvalidRequest):
        await files.page(10, after=file.id, sees="bob")
    assert await files.get(file.id, sees="alice")


async def test_a_deleted_file_is_gone_and_no_longer_counts(
    files: Files, storage: Storage, redis: ArqRedis
) -> None:
    file, other = await upload(files, b"one"), await upload(files, b"other")
    assert await files.delete(file.id, sees="alice") == file
    with pytest.raises(FileNotFound):
        await files.get(file.id, sees=None)
    with pytest.raises(FileNotFound):
        await files.delete(file.id, sees=None)
    with pytest.raises(FileNotFound):
        await anext(files.content(file))
    assert await stored(storage, "contents") == [other.path]
    assert (await files.page(10, sees="alice")).files == [other]
    assert await counted(redis) == 5
    await files.delete(other.id, sees="alice")
    assert await redis.exists(keys.STORED.of(), keys.EXPIRY.of(), keys.FILES_OF.of("alice:")) == 0


async def test_lists_have_an_order_a_purpose_and_a_cursor(files: Files) -> None:
    purposes: list[Purpose] = ["batch", "user_data", "batch", "batch", "user_data"]
    made = [await upload(files, purpose=purpose) for purpose in purposes]
    await upload(files, owner="bob")
    made.sort(key=lambda file: (file.created, file.id))

    async def ids(limit: int, **how: object) -> tuple[list[str], bool]:
        page = await files.page(limit, **{"sees": "alice", **how})  # type: ignore[arg-type]
        return [file.id for file in page.files], page.has_more

    oldest = [file.id for file in made]
    newest = oldest[::-1]
    assert await ids(10) == (newest, False)
    assert await ids(5, order="asc") == (oldest, False)
    assert await ids(2) == (newest[:2], True)
    assert await ids(2, after=newest[1]) == (newest[2:4], True)
    assert await ids(2, after=newest[3]) == (newest[4:], False)
    assert await ids(2, after=oldest[0], order="asc") == (oldest[1:3], True)
    assert await ids(2, purpose="batch") == (
        [each for each in newest if each in _of(made, "batch")][:2],
        True,
    )
    assert await ids(9, purpose="user_data", order="asc") == (_of(made, "user_data"), False)
    assert await ids(9, purpose="batch_output") == ([], False)
    assert len((await files.page(10, sees=None)).files) == 6


def _of(made: list[File], purpose: str) -> list[str]:
    return [file.id for file in made if file.purpose == purpose]


async def test_a_long_list_comes_in_chunks(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [await upload(files) for _ in range(8)]
    monkeypatch.setattr("bulk.files.records.CHUNK", 3)
    page = await files.page(7, sees="alice")
    assert len({file.id for file in page.files} & {file.id for file in made}) == 7
    assert page.has_more


async def test_lifetimes(files: Files) -> None:
    for purpose, lifetime, expected in (
        ("batch", None, 30 * 86_400),
        ("user_data", None, None),
        ("user_data", 3600.0, 3600),
    ):
        file = await upload(files, purpose=purpose, lifetime=lifetime)
        assert file.expires == (expected and file.created + expected * 1000)
        assert await files.get(file.id, sees="alice") == file


async def test_an_upload_that_breaks_leaves_nothing(files: Files, storage: Storage, redis: ArqRedis) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(300_000)
        assert await uploading(redis) == 1
        raise ConnectionError("the client is gone")

    with pytest.raises(ConnectionError):
        await files.create(new(), breaking())

    def refusing() -> NewFile:
        raise InvalidRequest("purpose: missing")

    with pytest.raises(InvalidRequest):
        await files.receive("alice", once(b"x"), refusing)
    assert await stored(storage, "") == []
    assert await uploading(redis) == await counted(redis) == 0


async def test_a_cancelled_upload_leaves_nothing(files: Files, storage: Storage, redis: ArqRedis) -> None:
    reserved = asyncio.Event()  # a script that is under way when its sender is cancelled may run later

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(3_000_000)
        reserved.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(files.create(new(), endless()))
    await reserved.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(storage, "") == []
    assert await uploading(redis) == await counted(redis) == 0


async def test_a_content_that_could_not_be_recorded_is_deleted_later(
    files: Files, storage: Storage, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not be deleted at once: the script may have run, and only its answer is lost."""

    async def unanswered(*what: object, **given: object) -> None:
        raise QueueUnavailable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(reservation.Reservation, "complete", unanswered)
        with pytest.raises(QueueUnavailable):
            await upload(files)
    assert await uploading(redis) == await counted(redis) == 0
    assert len(await stored(storage, "")) == 1
    monkeypatch.setattr("bulk.files.cleaning.ORPHAN_AGE", -60.0)
    assert (await files.clean()).orphans == 1
    assert await stored(storage, "") == []


@pytest.fixture
def limited(redis: ArqRedis, settings: Settings) -> Callable[..., Files]:
    """Files with other settings, in a folder."""

    def make(**changed: object) -> Files:
        given = settings.model_copy(update=changed)
        return Files(Shards(Server(redis), given).first, Storage(given))

    return make


async def test_a_file_has_a_largest_size(limited: Callable[..., Files]) -> None:
    files = limited(max_file_bytes=1_000)
    await upload(files, bytes(1_000))
    with pytest.raises(FileTooLarge):
        await upload(files, bytes(1_001))
    with pytest.raises(FileTooLarge):  # before anything is received
        await files.create(new(), _unread(), announced=1_001)


async def _unread() -> AsyncIterator[bytes]:
    raise AssertionError("nothing is received")
    yield b""


async def test_an_owner_has_a_quota(limited: Callable[..., Files], redis: ArqRedis) -> None:
    files = limited(max_stored_bytes=1_000)
    file = await upload(files, bytes(600))
    with pytest.raises(QuotaExceeded):
        await upload(files, bytes(401))
    with pytest.raises(QuotaExceeded):
        await files.create(new(), _unread(), announced=401)
    await upload(files, bytes(1_000), owner="bob")
    await upload(files, bytes(400))
    await files.delete(file.id, sees="alice")
    await upload(files, bytes(600))
    assert await counted(redis) == 1_000


async def test_uploads_at_once_share_the_quota(limited: Callable[..., Files], redis: ArqRedis) -> None:
    files = limited(max_stored_bytes=1_000)
    received = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield bytes(100)
        await received.wait()
        yield bytes(500)

    first = asyncio.create_task(files.create(new(), waiting(), announced=600))
    await until(lambda: uploading(redis))
    with pytest.raises(QuotaExceeded):
        await upload(files, bytes(401))
    await upload(files, bytes(400))
    received.set()
    assert (await first).bytes == 600
    assert await counted(redis) == 1_000


async def test_an_upload_whose_process_died_counts_no_longer(
    limited: Callable[..., Files], redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = limited(max_stored_bytes=1_000)
    monkeypatch.setattr(reservation, "LIFETIME", 0.05)
    dead = reservation.Reservation(files._shard, "file-dead0000", "alice")
    await dead.hold(900, 900)
    monkeypatch.setattr(reservation, "LIFETIME", 300.0)

    async def accepted() -> bool:
        try:
            await upload(files, bytes(900))
        except QuotaExceeded:
            return False
        return True

    await until(accepted)
    with pytest.raises(StorageUnavailable, match="in time"):
        await dead.complete(new(), 900, None, **files._records.arguments)
    assert await counted(redis) == 900


@pytest.mark.parametrize("name", ["MAX_FILES", "MAX_UPLOADS"])
async def test_the_number_of_files_is_limited(
    limited: Callable[..., Files], redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = limited()
    monkeypatch.setattr(reservation, name, 2)
    if name == "MAX_UPLOADS":
        for number in range(2):
            await reservation.Reservation(files._shard, f"file-{number}", "alice").hold(1)
    else:
        await upload(files)
        await upload(files)
    with pytest.raises(QuotaExceeded, match="2 files"):
        await upload(files)
    await upload(files, owner="bob")


async def test_a_recorded_file_is_recorded_once(limited: Callable[..., Files], redis: ArqRedis) -> None:
    """The script may run twice, because its answer was lost."""
    files = limited()
    held = reservation.Reservation(files._shard, "file-twice000", "alice")
    await held.hold(7)
    first = await held.complete(new(), 7, 60.0, **files._records.arguments)
    assert await held.complete(new(), 7, 60.0, **files._records.arguments) == first
    assert await counted(redis) == 7
