"""Media of lines: links, and entries of an archive that is read by range and unpacked within limits."""

import base64
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry

from api.links import Links
from bulk.files.files import Files
from bulk.runner.lines import zip_directory
from bulk.runner.lines.archive import DEFLATED, Archive
from bulk.runner.lines.lines import JobLines
from bulk.runner.lines.media import LineMedia
from bulk.runner.lines.tools import Tools
from bulk.runner.lines.zip_directory import Entry
from bulk.runner.retries import Retries
from jobs.errors import FileNotFound
from jobs.monitoring.link_metrics import LinkMetrics
from jobs.owners import Sender
from tests.bulk.runner.lines.conftest import Running, batch, inputs_of, line, rows
from tests.waiting import until

log = structlog.get_logger(__name__)

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0" + bytes(300)
CAT = {"output": [{"label": "cat", "score": 0.5}]}
ALICE = Sender("alice")


def zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def pictures(*names: str) -> list[Any]:
    return [line(at, {"model": "pictures", "inputs": name}) for at, name in enumerate(names)]


async def refusals(running: Running, archive: bytes, *names: str, **of: Any) -> list[str]:
    """Why the pictures with these names are refused, each of them."""
    running.files.contents["file-1"] = archive
    given = batch("/v1/jobs", sender=ALICE, media_file_id="file-1", **of)
    found = await running.begin(given, pictures(*names))
    assert not found.output
    errors = rows(found.errors)
    assert all(row["response"]["status_code"] == 422 for row in errors.values())
    return [errors[f"line-{at}"]["response"]["body"]["detail"] for at in range(len(names))]


async def test_entries_of_the_archive_become_inputs_and_only_they_are_read(running: Running) -> None:
    others = {f"others/{at}.png": bytes(50_000 + at) for at in range(5)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("photos/a cat.png", PNG, zipfile.ZIP_DEFLATED)
        for name, content in others.items():
            opened.writestr(name, content)
        opened.writestr("./photos\\caf\u0065\u0301.png", PNG + b"2")
    running.files.contents["file-1"] = archive.getvalue()
    names = ("archive:photos/a cat.png", "ARCHIVE:./photos/caf\u00e9.png", base64.b64encode(PNG).decode())
    given = batch("/v1/jobs", sender=ALICE, media_file_id="file-1")
    found, jobs = await running.ran(given, pictures(*names), "pictures", lambda _: CAT)
    assert jobs == [[PNG, PNG + b"2", PNG]]
    assert len(found.output) == 3
    start, *rest = running.files.ranges
    assert start == (len(archive.getvalue()) - zip_directory.TAIL, len(archive.getvalue()))
    assert sum(end - begin for begin, end in rest) < 3_000


async def test_what_cannot_be_read_is_a_row_with_a_sentence(running: Running) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile itself warns of a second entry of a name
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as opened:
            for content in (PNG, PNG):
                opened.writestr("twice.png", content)
            opened.writestr("text.png", b"no picture")
            opened.writestr("lzma.png", PNG, zipfile.ZIP_LZMA)
            opened.writestr("../up.png", PNG)
            opened.writestr("/root.png", PNG)
            opened.mkdir("folder.png")
    names = ("twice.png", "text.png", "lzma.png", "../up.png", "/root.png", "folder.png", "gone.png", "")
    reasons = await refusals(running, file.getvalue(), *(f"archive:{name}" for name in names))
    words = ("several entries", "not image data", "not supported", *["no entry of this name"] * 5)
    for reason, word in zip(reasons, words, strict=True):
        assert word in reason, reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.replace(b"\0\0\x08\0", b"\1\0\x08\0"), "is encrypted"),
        (lambda data: b"", "no zip archive"),
        (lambda data: data[:-5], "no zip archive"),
        (lambda data: b"PNG" * 1_000, "no zip archive"),
        (lambda data: data.replace(b"PK\1\2", b"PK\1\3"), "no entry of this name"),
        (lambda data: data.replace(b"PK\3\4", b"PK\3\5"), "header of the entry is damaged"),
        (lambda data: data[:40] + b"\xff" * 8 + data[48:], "damaged"),
        (lambda data: sized(data, len(PNG) - 1), "larger than the directory"),
        (lambda data: sized(data, len(PNG) + 1), "is damaged"),
        (lambda data: sized(data, 2**31), "more than the limit"),
    ],
)
async def test_a_damaged_archive_fails_only_its_lines(running: Running, change: Any, message: str) -> None:
    [reason] = await refusals(running, change(zipped(**{"a.png": PNG})), "archive:a.png")
    assert message in reason, reason


def sized(data: bytes, size: int) -> bytes:
    """The archive, whose directory names another size of its entry."""
    at = data.index(b"PK\1\2") + 24
    return data[:at] + struct.pack("<L", size) + data[at + 4 :]


async def test_a_bomb_is_not_unpacked(running: Running) -> None:
    bomb = zipped(**{"bomb.png": bytes(200_000_000)})
    reasons = await refusals(running, bomb, "archive:bomb.png")
    assert "200,000,000 bytes, more than the limit of 8,388,608" in reasons[0]
    [lie] = await refusals(running, sized(bomb, 1_000), "archive:bomb.png")
    assert "more" in lie or "larger" in lie


async def test_what_follows_the_end_of_an_entry_is_not_kept() -> None:
    """An entry may claim the rest of a large file as its compressed data."""
    compressed = zlib.compress(PNG, wbits=-zlib.MAX_WBITS)
    entry = Entry(0, 50_000_000, len(PNG), DEFLATED, zlib.crc32(PNG), encrypted=False)
    archive = Archive(60_000_000, {"a.png": entry})
    local = struct.pack("<4s5H3L2H", b"PK\3\4", *[0] * 10)
    asked = 0

    async def read(start: int, end: int) -> AsyncIterator[bytes]:
        nonlocal asked
        yield (local + compressed)[start : min(end, 1_000)]
        for _ in range(1_000, end, 1_000_000):
            asked += 1
            yield bytes(1_000_000)

    assert await archive.content("a.png", read, 10_000) == PNG
    assert asked == 0


async def test_a_bad_archive_is_read_once(running: Running) -> None:
    given = zipped(**{"a.png": PNG}).replace(b"PK\5\6", b"PK\5\5")
    reasons = await refusals(running, given, *["archive:a.png"] * 20)
    assert set(reasons) == {"inputs: archive:a.png: the file is no zip archive, or it is not complete"}
    assert len(running.files.ranges) == 1


async def test_the_archive_is_the_owners(running: Running) -> None:
    running.files.contents["file-1"] = zipped(**{"a.png": PNG})
    given = batch("/v1/jobs", sender=Sender("bob"), media_file_id="file-1")
    found = await running.begin(given, pictures("archive:a.png"))
    assert "the archive file-1 was deleted" in rows(found.errors)["line-0"]["response"]["body"]["detail"]
    without = await running.begin(batch("/v1/jobs"), pictures("archive:a.png"))
    detail = rows(without.errors)["line-0"]["response"]["body"]["detail"]
    assert "the batch has no media_file_id" in detail
    answer = await running.client.post("/v1/jobs", json={"model": "pictures", "inputs": "archive:a.png"})
    assert answer.status_code == 422
    assert "only in a batch" in answer.json()["detail"]
    with pytest.raises(FileNotFound):
        await running.files.get("file-1", sees="bob")


def test_a_large_directory_is_read_as_zip64() -> None:
    directory = zipped(**{"a.png": PNG})
    at = directory.index(b"PK\1\2")
    found = zip_directory.entries(directory[at:])
    assert found["a.png"] is not None
    assert found["a.png"].size == len(PNG)
    wide = (
        directory[at : at + 20]
        + b"\xff" * 8
        + directory[at + 28 : at + 30]
        + b"\x14\0"
        + directory[at + 32 : at + 51]
    )
    wide += struct.pack("<2H2Q", 1, 16, 7_000_000_000, 6_000_000_000)
    large = zip_directory.entries(wide)["a.png"]
    assert large is not None
    assert (large.size, large.compressed) == (7_000_000_000, 6_000_000_000)


async def test_links_are_fetched_and_one_that_fails_is_its_lines_error(running: Running) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=PNG) if request.url.path == "/cat" else httpx.Response(404)

    services = running.services
    allowed = services.settings.model_copy(update={"fetch_links": "a.example"})
    links = Links(allowed, services.catalog, LinkMetrics(CollectorRegistry()), httpx.MockTransport(serve))
    media = LineMedia(links, cast(Files, running.files), services.catalog, allowed, Retries(log))
    tools = Tools(services.ledger, running.ends, allowed, media)
    running.lines = JobLines(tools, services.dialects.line_calls, services.catalog)
    lines = pictures("http://a.example/cat", "http://a.example/gone", "http://b.example/cat")
    found, jobs = await running.ran(batch("/v1/jobs"), lines, "pictures", lambda _: CAT)
    assert jobs == [[PNG]]
    errors = rows(found.errors)
    assert "its host answers 404" in errors["line-1"]["response"]["body"]["detail"]
    assert "does not fetch links to this host" in errors["line-2"]["response"]["body"]["detail"]


async def test_media_of_one_line_that_fail_do_not_fail_the_others(running: Running) -> None:
    running.files.contents["file-1"] = zipped(**{f"{at}.png": PNG for at in range(4)})
    given = batch("/v1/jobs", sender=ALICE, media_file_id="file-1")
    names = [f"archive:{at}.png" for at in range(3)]
    begun = running.begin(given, pictures(*names, "archive:gone.png"))
    seen: list[int] = []

    async def step() -> bool:
        if not begun.done():
            for claimed in await running.claimed("pictures"):
                seen.append(len(inputs_of(claimed)))
                await running.work(claimed, "pictures", lambda _: CAT)
        return begun.done()

    await until(step)
    found = await begun
    assert rows(found.errors).keys() == {"line-3"}
    assert rows(found.output).keys() == {"line-0", "line-1", "line-2"}
    assert sum(seen) == 3
