"""curl lines that can be pasted into a shell: what a page shows is what a client would send."""

import shlex
from typing import Any

import msgspec
from starlette.requests import Request

MOST_BODY = 8 * 1024
"""Bytes of a request that a line shows; the shell takes more, a reader doesn't."""


def fetch(request: Request, path: str) -> str:
    """Reads what is there."""
    return f"curl -s {shlex.quote(_url(request, path))}"


def submit(request: Request, asked: dict[str, Any], wait: int = 10) -> str | None:
    """Posts a job and waits for it; None where it is too large to be shown."""
    body = msgspec.json.encode(asked)
    return posted(_url(request, "/v1/jobs"), body.decode(), wait) if len(body) <= MOST_BODY else None


def posted(url: str, body: str, wait: int = 10) -> str:
    return (
        f"curl -s {shlex.quote(url)} -H 'Content-Type: application/json' -H 'Prefer: wait={wait}'"
        f" -d {shlex.quote(body)}"
    )


def _url(request: Request, path: str) -> str:
    return f"{str(request.base_url).rstrip('/')}{path}"
