"""Values in a readable form."""

from typing import Any

import msgspec


def as_json(item: Any) -> str:
    """Returns the value as JSON."""
    return msgspec.json.encode(item).decode()


def shown(value: Any) -> str:
    """Returns a text as it is, texts as a list, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return "".join(f"\n- {entry}" for entry in value)
    return as_json(value)
