"""Uploads to /v1/files as OpenAI's clients send them: parts in any order, limits, errors."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.dialects.openai import upload_form
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.dialects.openai.uploads import (
    ANCHOR,
    BOUNDARY,
    FILE,
    LINES,
    PURPOSE,
    SECONDS,
    Part,
    error,
    form,
    send,
    upload,
)
from tests.bulk.contents import files_in


@pytest.mark.parametrize(
    "parts",
    [
        (PURPOSE, ANCHOR, SECONDS, FILE),
        (FILE, PURPOSE, SECONDS, ANCHOR),
        (SECONDS, FILE, ANCHOR, PURPOSE),
    ],
)
async def test_parts_may_be_in_any_order(client: httpx.AsyncClient, parts: list[Part]) -> None:
    made = await upload(client, *parts)
    assert made == {
        "id": made["id"],
        "object": "file",
        "bytes": len(LINES),
        "created_at": made["created_at"],
        "expires_at": made["created_at"] + 3600,
        "filename": "lines.jsonl",
        "purpose": "batch",
        "status": "processed",
    }
    assert (await client.get(f"/v1/files/{made['id']}")).json() == made
    content = await client.get(f"/v1/files/{made['id']}/content")
    assert content.content == LINES


async def test_an_upload_may_come_in_small_pieces_and_compressed(client: httpx.AsyncClient) -> None:
    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    body = form(FILE, PURPOSE)
    for sent, headers in ((body, {}), (gzip.compress(body), {"content-encoding": "gzip"})):
        answer = await send(client, pieces(sent), **headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["bytes"] == len(LINES)


@pytest.mark.parametrize(
    ("parts", "says", "param"),
    [
        ((FILE,), "purpose: missing; give batch or user_data", "purpose"),
        ((FILE, ("purpose", b"fine-tune", None)), "'fine-tune' is not supported", "purpose"),
        ((FILE, ("purpose", b"batch_output", None)), "'batch_output' is not supported", "purpose"),
        ((PURPOSE,), "no part named file", "file"),
        ((), "no part named file", "file"),
        ((PURPOSE, FILE, FILE), "file: given twice", "file"),
        ((PURPOSE, PURPOSE, FILE), "purpose: given twice", "purpose"),
        ((PURPOSE, ("file", b"x", None)), "with a filename", "file"),
        ((PURPOSE, FILE, ("extra", b"x", None)), "a part named 'extra'", None),
        ((("purpose", b"x" * 1_000, None), FILE), "longer than 200 bytes", None),
        ((PURPOSE, FILE, SECONDS), "must be created_at", "expires_after[anchor]"),
        ((PURPOSE, FILE, ANCHOR), "must be a whole number", "expires_after[seconds]"),
        (
            (PURPOSE, FILE, ANCHOR, ("expires_after[seconds]", b"3599", None)),
            "must be from 3600 to 2592000",
            "expires_after[seconds]",
        ),
        (
            (PURPOSE, FILE, ("expires_after[anchor]", b"now", None), SECONDS),
            "must be created_at",
            "expires_after[anchor]",
        ),
    ],
)
async def test_a_bad_form_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, tmp_path: Path, parts: tuple[Part, ...], says: str, param: str | None
) -> None:
    found = error(await send(client, form(*parts)), 400)
    assert says in found["message"]
    assert found["param"] == param
    assert files_in(tmp_path / "files") == []
    assert (await client.get("/v1/files")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (form(PURPOSE, FILE, end=False), f"multipart/form-data; boundary={BOUNDARY}"),
        (form(PURPOSE, FILE)[:-500], f"multipart/form-data; boundary={BOUNDARY}"),
        (b"nothing of a form", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
        (form(PURPOSE, FILE), "multipart/form-data"),
        (b"{}", "application/json"),
        (LINES, ""),
        (
            f"--{BOUNDARY}\r\nx: {'y' * 20_000}\r\n\r\n\r\n--{BOUNDARY}--".encode(),
            f"multipart/form-data; boundary={BOUNDARY}",
        ),
    ],
)
async def test_no_form_at_all(client: httpx.AsyncClient, tmp_path: Path, body: bytes, kind: str) -> None:
    error(await client.post("/v1/files", content=body, headers={"content-type": kind}), 400)
    assert files_in(tmp_path / "files") == []


async def test_invalid_gzip_and_other_encodings(client: httpx.AsyncClient) -> None:
    whole = gzip.compress(form(PURPOSE, FILE))
    error(await send(client, whole[:-20], **{"content-encoding": "gzip"}), 400)
    error(await send(client, b"no gzip", **{"content-encoding": "gzip"}), 400)
    error(await send(client, whole, **{"content-encoding": "br"}), 415)


async def test_another_sites_page_may_not_upload(client: httpx.AsyncClient) -> None:
    found = error(await send(client, form(PURPOSE, FILE), **{"sec-fetch-site": "cross-site"}), 403)
    assert found["code"] == "cross_site"


@pytest.fixture
def small(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"max_file_bytes": 100_000, "max_stored_bytes": 250_000, "max_request_bytes": 1_000}
    )


async def test_limits(small: Settings, tmp_path: Path) -> None:
    """A file may be larger than other bodies, but not than its own limit and what is left of the quota."""
    async with mounted(small) as (client, services):
        await upload(client, PURPOSE, ("file", bytes(100_000), "a"))

        async def unannounced(body: bytes) -> AsyncIterator[bytes]:
            yield body

        too_large = form(PURPOSE, ("file", bytes(100_001), "a"))
        compressed = gzip.compress(form(PURPOSE, ("file", bytes(5_000_000), "a")))
        for body, headers in (
            (too_large, {}),
            (unannounced(too_large), {}),
            (form(PURPOSE, ("file", bytes(1_000_000), "a")), {}),
            (compressed, {"content-encoding": "gzip"}),
            (unannounced(form(PURPOSE, ("file", b"x", "a")) + bytes(200_000)), {}),
        ):
            found = error(await send(client, body, **headers), 413)
            assert found["message"] == "the file is larger than 100000 bytes (BATCHLINE_MAX_FILE_BYTES)"
        await upload(client, PURPOSE, ("file", bytes(100_000), "a"))
        full = error(await send(client, form(PURPOSE, ("file", bytes(60_000), "a"))), 403)
        assert full["code"] == "quota_exceeded"
        assert "BATCHLINE_MAX_STORED_BYTES" in full["message"]
        assert len(files_in(tmp_path / "files")) == 2
        assert services.budget.held == 0


async def test_a_storage_that_is_away(client: httpx.AsyncClient, tmp_path: Path) -> None:
    made = await upload(client)
    (tmp_path / "files").rename(tmp_path / "elsewhere")
    (tmp_path / "files").write_text("no folder")
    url = f"/v1/files/{made['id']}"
    for answer in (await send(client, form(PURPOSE, FILE)), await client.get(f"{url}/content")):
        found = error(answer, 503)
        assert found["code"] == "storage_unavailable"
        assert str(tmp_path) not in found["message"]
        assert answer.headers["retry-after"] == "1"
    assert (await client.get(url)).json() == made
    (tmp_path / "files").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "files")
    assert (await client.get(f"{url}/content")).content == LINES
    await upload(client)


def test_the_form_has_room_besides_the_file() -> None:
    rest = form(("file", b"", "x" * 255), PURPOSE, ANCHOR, SECONDS)
    assert len(rest) * 10 < upload_form.OVERHEAD
