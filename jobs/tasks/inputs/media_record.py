"""MediaRecord: several named values of which some are media, as a picture and a question."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from jobs.errors import InvalidRequest
from jobs.tasks.inputs.base import InputLimits
from jobs.tasks.inputs.media import Media, refuse_links
from jobs.tasks.inputs.record import Record


class MediaRecord(Record):
    """An object of one of `forms`. The fields in `media` hold one medium or a list of them."""

    has_texts = False
    has_media = True
    max_batch_items = 32

    def __init__(
        self,
        forms: Sequence[type[msgspec.Struct]],
        media: Mapping[str, Media],
        rows: Callable[[Any], Sequence[tuple[str, ...]]],
        max_chars: int = 100_000,
    ) -> None:
        super().__init__(forms, rows, max_chars)
        self.media = media
        self.max_bytes = max(kind.max_bytes for kind in media.values())
        self.max_batch_items = min(kind.max_batch_items for kind in media.values())

    def is_medium(self, field: str | None) -> bool:
        """See Input."""
        return field in self.media

    def accept(self, item: Any, limits: InputLimits, pointer: str) -> None:
        """See Input."""
        refuse_links(self.admit(item, limits, pointer), pointer)

    def admit(self, item: Any, limits: InputLimits, pointer: str) -> Any:
        """See Input."""
        super().accept(item, limits, pointer)
        return {
            name: self._admit(self.media[name], value, limits, f"{pointer}/{name}")
            if name in self.media
            else value
            for name, value in item.items()
        }

    def show(self, item: Any) -> str:
        """See Input."""
        if not isinstance(item, dict):
            return "no object"
        return super().show(
            {name: self._shown(name, value) if name in self.media else value for name, value in item.items()}
        )

    def texts(self, item: Any) -> list[str]:
        """See Input. Its cost is that of its media."""
        return []

    def _admit(self, kind: Media, value: Any, limits: InputLimits, pointer: str) -> Any:
        if not isinstance(value, list):
            return kind.admit(value, limits, pointer)
        if not value:
            raise InvalidRequest(f"inputs: give at least one {kind.kind}", pointer=pointer)
        return [kind.admit(each, limits, f"{pointer}/{index}") for index, each in enumerate(value)]

    def _shown(self, name: str, value: Any) -> Any:
        kind = self.media[name]
        return [kind.show(each) for each in value] if isinstance(value, list) else kind.show(value)
