"""Text: one text."""

from collections.abc import Sequence
from typing import Any

from jobs.errors import InvalidRequest
from jobs.tasks.inputs.base import Input, InputLimits
from jobs.tasks.inputs.showing import as_json


class Text(Input):
    """One text."""

    name = "text"
    is_text = True

    def __init__(self, max_chars: int | None = None) -> None:
        if max_chars is not None:
            self.max_chars = max_chars

    def accepts_all(self, items: Sequence[Any], limits: InputLimits) -> bool:
        """See Input. A list may hold thousands of texts, and a call for each takes longer than this."""
        most = limits.max_input_chars
        return all(isinstance(item, str) and len(item) <= most for item in items)

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        if not isinstance(item, str):
            raise InvalidRequest("inputs: expected a text or a list of texts", pointer=pointer)

    def measure(self, item: str) -> int:
        """See Input."""
        return len(item)

    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """See Input."""
        return {"type": "string", "maxLength": limits.max_input_chars}

    def show(self, item: Any) -> str:
        """See Input."""
        return item if isinstance(item, str) else as_json(item)

    def cut(self, item: str, limit: int) -> str:
        """See Input."""
        return item[:limit]

    def texts(self, item: str) -> list[str]:
        """See Input."""
        return [item]
