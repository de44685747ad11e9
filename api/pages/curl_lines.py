"""Makes curl commands for a shell, which send the same requests as a page."""

import shlex
from typing import Any

import msgspec
from starlette.requests import Request

from api.services import services

MAX_BODY = 8 * 1024
"""Maximum bytes of a request that is shown. Longer ones would work in a shell but are unreadable."""


def fetch(request: Request, path: str) -> str:
    """A command that reads `path`."""
    return f"curl -s {shlex.quote(_url(request, path))}{key(request)}"


def submit(request: Request, body: dict[str, Any], wait: int = 10) -> str | None:
    """A command that submits a job and waits for it, or None if it is too large to be shown."""
    encoded = msgspec.json.encode(body)
    return posted(request, "/v1/jobs", encoded.decode(), wait) if len(encoded) <= MAX_BODY else None


def posted(request: Request, path: str, body: str, wait: int = 10) -> str:
    """A command that sends the JSON to `path`."""
    return (
        f"curl -s {shlex.quote(_url(request, path))}{key(request)}"
        f" -H 'Content-Type: application/json' -H 'Prefer: wait={wait}' -d {shlex.quote(body)}"
    )


def key(request: Request) -> str:
    """The option with the API key, which the shell has in its variable KEY; "" if no key is needed."""
    return ' -H "Authorization: Bearer $KEY"' if services(request).settings.auth == "keys" else ""


def _url(request: Request, path: str) -> str:
    return f"{str(request.base_url).rstrip('/')}{path}"
