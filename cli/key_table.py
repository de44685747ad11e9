"""Keys as a table for people, or as JSON for programs. Digests are not shown."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jobs.access.api_key import SCOPES, ApiKey
from jobs.schema import from_ms

COLUMNS = ("id", "owner", "scopes", "models", "share", "limits", "created", "expires", "used", "state")


def about(key: ApiKey) -> dict[str, Any]:
    """The fields of a key that somebody may see; those without a value are left out."""
    fields = {
        "key": key.id,
        "owner": key.owner,
        "scopes": [scope for scope in SCOPES if scope in key.scopes],
        "models": sorted(key.models) or None,
        "share": key.weight,
        "limits": msgspec.to_builtins(key.limits) or None,
        "expires": _time(key.expires),
    }
    return {name: value for name, value in fields.items() if value is not None}


def as_json(keys: Sequence[ApiKey], uses: Mapping[str, int], now: int) -> str:
    """A list of objects."""
    return msgspec.json.format(msgspec.json.encode([_row(key, uses, now) for key in keys])).decode()


def as_table(keys: Sequence[ApiKey], uses: Mapping[str, int], now: int) -> str:
    """One line for each key, below a line of headings."""
    rows = [COLUMNS, *(tuple(map(_text, _row(key, uses, now).values())) for key in keys)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines)


def _row(key: ApiKey, uses: Mapping[str, int], now: int) -> dict[str, Any]:
    found = about(key)
    values = (
        key.id,
        key.owner,
        found["scopes"],
        sorted(key.models),
        key.weight,
        msgspec.to_builtins(key.limits),
        _time(key.created),
        _time(key.expires),
        _time(uses.get(key.id)),
        key.state(now),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={number:g}" for name, number in value.items()) or "-"
    if isinstance(value, list):
        return ",".join(value) or "-"
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _time(at: int | None) -> str | None:
    return None if at is None else f"{from_ms(at):%Y-%m-%dT%H:%M:%SZ}"
