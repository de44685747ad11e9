"""TextOrRecord: one text, or an object with named texts. The base of TextOrPair and TextOrChat."""

from typing import Any

from jobs.tasks.inputs.base import InputLimits
from jobs.tasks.inputs.record import Record
from jobs.tasks.inputs.text import Text


class TextOrRecord(Text):
    """A text, or a record."""

    opens = b""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        if isinstance(item, dict):
            self._record.check(item, pointer)
        else:
            super().check(item, pointer)

    def measure(self, item: Any) -> int:
        """See Input."""
        return len(item) if isinstance(item, str) else self._record.measure(item)

    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """See Input."""
        return {"anyOf": [super().describe(limits), *self._record.describe(limits)["anyOf"]]}

    def show(self, item: Any) -> str:
        """See Input."""
        return item if isinstance(item, str) else self._record.show(item)

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        return item[:limit] if isinstance(item, str) else self._record.cut(item, limit)

    def texts(self, item: Any) -> list[str]:
        """See Input."""
        return [item] if isinstance(item, str) else self._record.texts(item)
