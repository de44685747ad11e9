"""Makes curl commands for a shell, which send the same requests as a page."""

import shlex
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from api.dialects import samples
from api.services import services

MAX_BODY = 8 * 1024
"""Maximum bytes of a request that is shown. Longer ones would work in a shell but are unreadable."""


def fetch(request: Request, path: str) -> str:
    """A command that reads `path`."""
    return f"curl -s {shlex.quote(_url(request, path))}{key(request)}"


def save(request: Request, path: str, filename: str) -> str:
    """A command that writes what `path` answers to a file; it fails if that is an error."""
    return f"curl -fsS -o {shlex.quote(filename)} {shlex.quote(_url(request, path))}{key(request)}"


def submit(request: Request, body: dict[str, Any], wait: int = 10) -> str | None:
    """A command that submits a job and waits for it, or None if it is too large to be shown."""
    encoded = msgspec.json.encode(body)
    return posted(request, "/v1/jobs", encoded.decode(), wait) if len(encoded) <= MAX_BODY else None


def posted(request: Request, path: str, body: str, wait: int | None = 10) -> str:
    """A command that sends the JSON to `path`; with a wait it waits so many seconds for the job's end."""
    return samples.curl(_url(request, path), body, has_keys=_has_keys(request), wait=wait)


class Part(NamedTuple):
    """One part of a form: a file by its name, or a text or JSON by its value."""

    name: str
    value: str
    kind: Literal["file", "text", "json"] = "text"


def of_file(
    request: Request, model: str, filename: str, content_type: str, keep: bool = True, wait: int = 10
) -> str:
    """A command that submits one file as it is. The file `-` is what the shell pipes to it."""
    path = f"/v1/jobs?{urlencode({'model': model} | ({'keep_inputs': 'true'} if keep else {}))}"
    return (
        f"curl -s {shlex.quote(_url(request, path))}{key(request)}"
        f" -H {shlex.quote(f'Content-Type: {content_type}')} -H 'Prefer: wait={wait}'"
        f" --data-binary {shlex.quote(f'@{filename}')}"
    )


def again(request: Request, model: str, path: str, content_type: str, keep: bool) -> str:
    """A command that reads a medium of a job and submits it again."""
    return f"{fetch(request, path)} |\n{of_file(request, model, '-', content_type, keep)}"


def of_parts(request: Request, parts: Sequence[Part], wait: int = 10) -> str:
    """A command that submits a form with files."""
    sent = " ".join(map(_part, parts))
    return f"curl -s {shlex.quote(_url(request, '/v1/jobs'))}{key(request)} -H 'Prefer: wait={wait}' {sent}"


def _part(part: Part) -> str:
    match part.kind:
        case "file":
            return f"-F {shlex.quote(f'{part.name}=@{_quoted(part.value)}')}"
        case "json":
            return f"-F {shlex.quote(f'{part.name}={_quoted(part.value)};type=application/json')}"
        case "text":
            return f"--form-string {shlex.quote(f'{part.name}={part.value}')}"


def _quoted(text: str) -> str:
    """The text as curl reads it within an option -F: quoted if it has special characters."""
    if not any(each in text for each in ',;"\\@<'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def key(request: Request) -> str:
    """The option with the API key; "" if no key is needed."""
    return samples.key_in_curl(_has_keys(request))


def _has_keys(request: Request) -> bool:
    return services(request).settings.auth == "keys"


def _url(request: Request, path: str) -> str:
    return f"{str(request.base_url).rstrip('/')}{path}"
