"""What was uploaded to /v1/files: lists, contents, ranges, names, owners, deletion."""

from pathlib import Path

import httpx
import pytest

from tests.api.access.keyed import Keyed
from tests.api.dialects.openai.uploads import FILE, LINES, PURPOSE, error, form, send, upload
from tests.bulk.contents import files_in


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
        assert (await client.get(f"/v1/files/{odd}")).status_code == 404


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
    for name, fields in (("alice", {}), ("bob", {}), ("eve", {"scopes": frozenset({"read"})})):
        _, secret = await guarded.key(name, **fields)  # type: ignore[arg-type]
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
