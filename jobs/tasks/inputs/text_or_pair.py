"""TextOrPair: one text, or two texts that the model reads together."""

from typing import Any

import msgspec

from jobs.tasks.inputs.base import InputLimits
from jobs.tasks.inputs.record import Record
from jobs.tasks.inputs.text import Text


class Pair(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The names are those that `transformers.pipeline` and its tokenizers use."""

    text: str
    text_pair: str


class TextOrPair(Text):
    """A text, or `{"text": ..., "text_pair": ...}`."""

    opens = b""

    def __init__(self) -> None:
        super().__init__()
        self._pair = Record((Pair,), lambda item: [(item["text"], item["text_pair"])], self.max_chars)

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        if isinstance(item, dict):
            self._pair.check(item, pointer)
        else:
            super().check(item, pointer)

    def measure(self, item: Any) -> int:
        """See Input."""
        return len(item) if isinstance(item, str) else self._pair.measure(item)

    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """See Input."""
        return {"anyOf": [super().describe(limits), *self._pair.describe(limits)["anyOf"]]}

    def show(self, item: Any) -> str:
        """See Input."""
        return item if isinstance(item, str) else self._pair.show(item)

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        return item[:limit] if isinstance(item, str) else self._pair.cut(item, limit)

    def texts(self, item: Any) -> list[str]:
        """See Input."""
        return [item] if isinstance(item, str) else self._pair.texts(item)
