"""Uploads of files as a client sends them, part for part."""

from typing import Any

import httpx

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
