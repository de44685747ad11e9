"""Json: any JSON value, for a custom pipeline."""

from typing import Any

import msgspec

from jobs.tasks.inputs.base import Input, InputLimits
from jobs.tasks.inputs.showing import as_json

MAX_PACKED_RATIO = 3
"""Most bytes of msgpack per character of JSON: 0.5 takes nine bytes."""


class Json(Input):
    """Any JSON value."""

    name = "json"
    opens = b""
    is_json = True
    is_packed = True

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""

    def measure(self, item: Any) -> int:
        """See Input."""
        if isinstance(item, msgspec.Raw):  # msgpack from the queue; the exact size was checked at acceptance
            return len(memoryview(item)) // MAX_PACKED_RATIO
        return len(msgspec.json.encode(item))

    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """See Input."""
        return {}

    def show(self, item: Any) -> str:
        """See Input."""
        return item if isinstance(item, str) else as_json(item)

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        return item if self.measure(item) <= limit else 1

    def texts(self, item: Any) -> list[str]:
        """See Input."""
        return [item] if isinstance(item, str) else []
