"""MediaRecord: several named values of which some are media, as a picture and a question."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from jobs.media.values import Link, Stored
from jobs.tasks.inputs.base import InputLimits
from jobs.tasks.inputs.media import Media
from jobs.tasks.inputs.record import Record


class MediaRecord(Record):
    """An object of one of `forms`. The fields in `media` hold one medium or a list of them, at any depth.

    In a form such a field is a text. An upload has bytes there, which are checked all the same.
    """

    has_texts = False
    has_media = True

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
        self.admit(item, limits, pointer)

    def admit(self, item: Any, limits: InputLimits, pointer: str) -> Any:
        """See Input."""
        super().accept(item, limits, pointer)
        return self._changed(item, lambda kind, value, where: kind.admit(value, limits, f"{pointer}{where}"))

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        super().check(self._changed(item, _as_text), pointer)

    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """See Input."""
        described: dict[str, Any] = self._described(super().describe(limits), limits)
        return described

    def show(self, item: Any) -> str:
        """See Input."""
        if not isinstance(item, dict):
            return "no object"
        return super().show(self._changed(item, lambda kind, value, _: kind.show(value)))

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        parts = super().cut(item, limit).items()
        return {name: item[name] if name in self.media else part for name, part in parts}

    def texts(self, item: Any) -> list[str]:
        """See Input. Its cost is that of its media."""
        return []

    def _changed(self, value: Any, change: Callable[[Media, Any, str], Any], where: str = "") -> Any:
        """Returns the value with each medium in it replaced by what `change` returns for it and its place."""
        if isinstance(value, list):
            return [self._changed(each, change, f"{where}/{index}") for index, each in enumerate(value)]
        if not isinstance(value, dict):
            return value
        return {
            name: self._media(self.media[name], part, change, f"{where}/{name}")
            if name in self.media
            else self._changed(part, change, f"{where}/{name}")
            for name, part in value.items()
        }

    def _media(self, kind: Media, value: Any, change: Callable[[Media, Any, str], Any], where: str) -> Any:
        if isinstance(value, list):
            return [change(kind, each, f"{where}/{index}") for index, each in enumerate(value)]
        return change(kind, value, where)

    def _described(self, schema: Any, limits: InputLimits) -> Any:
        """Returns the JSON Schema with those of the media in it."""
        if isinstance(schema, list):
            return [self._described(entry, limits) for entry in schema]
        if not isinstance(schema, dict):
            return schema
        found = {name: self._described(part, limits) for name, part in schema.items()}
        if schema.get("type") == "object":
            for name, field in found.get("properties", {}).items():
                if name not in self.media:
                    continue
                medium = self.media[name].describe(limits)
                if field.get("type") == "array":
                    medium = {**field, "items": medium}
                found["properties"][name] = medium
        return found


def _as_text(kind: Media, value: Any, where: str) -> Any:
    """Returns what stands for an admitted medium in its form."""
    return "" if isinstance(value, bytes | Link | Stored) else value
