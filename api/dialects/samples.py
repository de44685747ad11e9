"""Parts of samples: requests as Python code and as curl commands, which show the values of a request."""

import shlex
from collections.abc import Iterable
from typing import Any

import msgspec

from api.dialect import SampleRequest

KEY_IN_PYTHON = 'os.environ["KEY"]'
NO_KEY = '"none"'
"""Clients refuse to start without a key, also for a server that needs none."""


def key_in_python(request: SampleRequest) -> str:
    """The expression of the API key."""
    return KEY_IN_PYTHON if request.has_keys else NO_KEY


def python(request: SampleRequest, imports: str, *statements: str) -> str:
    """A program with these statements."""
    lines = ["import os", ""] if request.has_keys else []
    return "\n".join([*lines, imports, "", *statements])


def call(function: str, arguments: Iterable[tuple[str, Any]]) -> str:
    """A call with these named arguments, each on its own line."""
    lines = [f"    {name}={literal(value, 1)}," for name, value in arguments]
    return "\n".join([f"{function}(", *lines, ")"])


def literal(value: Any, level: int = 0) -> str:
    """The value, which is JSON, as a Python expression; the entries of a list are on their own lines."""
    if not isinstance(value, list) or not value or not any(isinstance(each, str | list) for each in value):
        return repr(value) if not isinstance(value, str) else _text(value)
    inner = "    " * (level + 1)
    entries = "".join(f"{inner}{literal(each, level + 1)},\n" for each in value)
    return "[\n" + entries + "    " * level + "]"


def _text(value: str) -> str:
    """The text in double quotes, as JSON has it; Python reads it alike."""
    return msgspec.json.encode(str(value)).decode()


def curl(url: str, body: str, *, has_keys: bool, wait: int | None = None) -> str:
    """A command that sends the JSON to `url`; with a wait it waits so many seconds for the job's end."""
    prefer = "" if wait is None else f" -H 'Prefer: wait={wait}'"
    return (
        f"curl -s {shlex.quote(url)}{key_in_curl(has_keys)}"
        f" -H 'Content-Type: application/json'{prefer} -d {shlex.quote(body)}"
    )


def key_in_curl(has_keys: bool) -> str:
    """The option with the API key, which the shell has in its variable KEY; "" if no key is needed."""
    return ' -H "Authorization: Bearer $KEY"' if has_keys else ""
