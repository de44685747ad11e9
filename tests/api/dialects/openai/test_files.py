"""/v1/files as OpenAI's client uses it: uploads with parts in any order, lists, contents, errors."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.dialects.openai import upload_form
from jobs.settings import Settings
from tests.api.access.keyed import Keyed
from tests.api.api_process import mounted
from tests.bulk.contents import files_in

LINES = b'{"custom_id": "1"}\n' * 1_000
BOUNDARY = "boundary"

Part = tuple[str, bytes, str | None]
"""Name, content, and the file name if it is a file."""
FILE: Part = ("file", LINES, "lines.jsonl")
PURPOSE: Part = ("purpose", b"batch", None)
ANCHOR: Part = ("expires_after[anchor]", b"created_at", None)
SECONDS: Part = ("expires_after[seconds]", b"3600", None)


def form(*parts: Part, end: bool = True) -> bytes:
    body = b""
    for name, content, filename in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


async def send(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await client.post("/v1/files", content=body, headers=kind | headers)


async def upload(client: httpx.AsyncClient, *parts: Part) -> dict[str, Any]:
    answer = await send(client, form(*(parts or (PURPOSE, FILE))))
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()["error"]
    assert found.keys() == {"message", "type", "param", "code"}
    return found


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
        ((), "no valid form", None),
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
    if parts:
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
        update={"max_file_bytes": 100_000, "max_stored_bytes": 150_000, "max_request_bytes": 1_000}
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
        ):
            found = error(await send(client, body, **headers), 413)
            assert found["message"] == "the file is larger than 100000 bytes (BATCHLINE_MAX_FILE_BYTES)"
        full = error(await send(client, form(PURPOSE, ("file", bytes(60_000), "a"))), 403)
        assert full["code"] == "quota_exceeded"
        assert "BATCHLINE_MAX_STORED_BYTES" in full["message"]
        assert len(files_in(tmp_path / "files")) == 1
        assert services.budget.held == 0


async def test_lists(client: httpx.AsyncClient) -> None:
    empty = (await client.get("/v1/files")).json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    made = [await upload(client) for _ in range(2)]
    archive = await upload(client, ("purpose", b"user_data", None), ("file", b"PK", "media.zip"))
    assert "expires_at" not in archive
    everything = (await client.get("/v1/files")).json()
    assert {file["id"] for file in everything["data"]} == {file["id"] for file in [*made, archive]}
    first = (await client.get("/v1/files?limit=2&order=asc")).json()
    assert first["has_more"] is True
    assert first["last_id"] == first["data"][1]["id"]
    rest = (await client.get(f"/v1/files?limit=2&order=asc&after={first['last_id']}")).json()
    assert rest["has_more"] is False
    assert len({file["id"] for file in first["data"] + rest["data"]}) == 3
    batches = (await client.get("/v1/files?purpose=batch")).json()["data"]
    assert {file["id"] for file in batches} == {file["id"] for file in made}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("order=newest", "order"),
        ("purpose=x", "purpose"),
        ("after=file-unknown000", "after"),
        ("after=7", "after"),
        ("after=%00%ff", "after"),
    ],
)
async def test_a_bad_list_is_refused(client: httpx.AsyncClient, query: str, param: str) -> None:
    found = error(await client.get(f"/v1/files?{query}"), 400)
    assert param in (found["param"] or found["message"])


async def test_a_deleted_file(client: httpx.AsyncClient, tmp_path: Path) -> None:
    made = await upload(client)
    deleted = await client.delete(f"/v1/files/{made['id']}")
    assert deleted.json() == {"id": made["id"], "object": "file", "deleted": True}
    assert files_in(tmp_path / "files") == []
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        found = error(await client.request(method, f"/v1/files/{made['id']}{path}"), 404)
        assert found["code"] == "unknown_file"
    for odd in ("file-x", "a%2Fb", "%2e%2e", "file-%00aaaaaaaaaa", "x" * 5_000):
        error(await client.get(f"/v1/files/{odd}"), 404)


async def test_ranges(client: httpx.AsyncClient) -> None:
    made = await upload(client)
    url = f"/v1/files/{made['id']}/content"

    async def get(given: str) -> httpx.Response:
        return await client.get(url, headers={"range": given})

    part = await get("bytes=10-29")
    assert (part.status_code, part.content) == (206, LINES[10:30])
    assert part.headers["content-range"] == f"bytes 10-29/{len(LINES)}"
    assert (await get("bytes=-5")).content == LINES[-5:]
    assert (await get("bytes=5-2")).status_code == 200
    beyond = await get(f"bytes={len(LINES)}-")
    assert error(beyond, 416)
    assert beyond.headers["content-range"] == f"bytes */{len(LINES)}"
    head = await client.head(url)
    assert (head.headers["content-length"], head.content) == (str(len(LINES)), b"")


async def test_an_empty_file(client: httpx.AsyncClient) -> None:
    made = await upload(client, PURPOSE, ("file", b"", "empty"))
    content = await client.get(f"/v1/files/{made['id']}/content")
    assert (made["bytes"], content.status_code, content.content) == (0, 200, b"")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("lines.jsonl", "lines.jsonl"),
        ("C:\\\\Users\\\\me\\\\lines.jsonl", "lines.jsonl"),
        ("../../etc/passwd", "passwd"),
        ("r\u00e9sum\u00e9 \u2603.jsonl", "r\u00e9sum\u00e9 \u2603.jsonl"),
        ("a%22; filename=evil.html", "a%22; filename=evil.html"),
        ("", "file"),
        ("x" * 400, "x" * 255),
    ],
)
async def test_any_file_name_is_safe(client: httpx.AsyncClient, sent: str, shown: str) -> None:
    made = await upload(client, PURPOSE, ("file", b"<script>", sent))
    assert made["filename"] == shown
    content = await client.get(f"/v1/files/{made['id']}/content")
    disposition = content.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert disposition.isascii()
    assert disposition.count('"') == 2
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["x-content-type-options"] == "nosniff"


async def test_owners(guarded: Keyed) -> None:
    clients = {}
    for name, scopes in (("alice", {"submit", "read"}), ("bob", {"submit", "read"}), ("eve", {"read"})):
        _, secret = await guarded.key(name, scopes=frozenset(scopes))
        clients[name] = {"authorization": f"Bearer {secret}"}
    made = (await send(guarded.client, form(PURPOSE, FILE), **clients["alice"])).json()
    error(await send(guarded.client, form(PURPOSE, FILE)), 401)
    error(await send(guarded.client, form(PURPOSE, FILE), **clients["eve"]), 403)
    url = f"/v1/files/{made['id']}"
    for method, path in (("GET", url), ("GET", f"{url}/content"), ("DELETE", url)):
        error(await guarded.client.request(method, path, headers=clients["bob"]), 404)
    assert (await guarded.client.get("/v1/files", headers=clients["bob"])).json()["data"] == []
    assert (await guarded.client.get("/v1/files", headers=clients["alice"])).json()["data"] == [made]
    assert (await guarded.client.delete(url, headers=clients["alice"])).status_code == 200


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
