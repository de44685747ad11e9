"""What JSON may look like whatever it means: how deep it is nested, how large its integers are."""

from typing import Any

from jobs.errors import InvalidRequest

MAX_DEPTH = 100
"""Levels of nesting; deeper JSON could be decoded, but not by everything that handles it later."""

INTEGERS = range(-(2**63), 2**64)
"""What msgpack, the queue's format, can hold."""


def check_shape(value: Any, pointer: str) -> None:
    """Refuses JSON that the queue's format or its readers cannot take; level by level: it needs no stack."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below.extend(part.values())
            elif isinstance(part, list):
                below.extend(part)
            elif type(part) is int and part not in INTEGERS:
                raise InvalidRequest("an integer has more than 64 bits", pointer=pointer)
        if not below:
            return
        level = below
    raise InvalidRequest(f"the JSON is nested more than {MAX_DEPTH} levels deep", pointer=pointer)
