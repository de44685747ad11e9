"""Kinds of media: Image, Audio and Video, given as base64, a data URL or a link, or as bytes of an upload.

Only the engine decodes them. Here only their headers are read, so a medium that is accepted may still be
damaged, or larger than its header says; then its input alone fails.
"""

import math
from typing import Any, ClassVar

from jobs.errors import InvalidRequest
from jobs.media import encoded, sizes
from jobs.media.formats import Kind, of_kind, recognise, summary
from jobs.media.values import Link, Medium, Stored, links
from jobs.tasks.inputs.base import Input, InputLimits

USUAL_BYTES_PER_SECOND = 16_000
"""Of compressed sound."""


class Media(Input):
    """One medium."""

    kind: ClassVar[Kind]
    has_texts = False
    has_media = True
    max_bytes = 20_000_000
    max_batch_items = 32

    def __init__(self) -> None:
        self.formats = [each.name for each in of_kind(self.kind)]

    def is_medium(self, field: str | None) -> bool:
        """See Input."""
        return field is None

    def accept(self, item: Any, limits: InputLimits, pointer: str) -> None:
        """See Input."""
        refuse_links(self.admit(item, limits, pointer), pointer)

    def admit(self, item: Any, limits: InputLimits, pointer: str) -> Medium:
        """See Input. What was admitted before is returned as it is, after the same checks."""
        if isinstance(item, Link):
            return item
        if isinstance(item, Stored):
            self._check(item.start, item.size, limits, pointer)
            return item
        data = item if isinstance(item, bytes) else self._read(item, limits, pointer)
        if isinstance(data, Link):
            return data
        self._check(data, len(data), limits, pointer)
        self._check_header(data, limits, pointer)
        return data

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        if not isinstance(item, str | bytes | Link | Stored):
            a = "an" if self.kind != "video" else "a"
            raise InvalidRequest(
                f"inputs: expected {a} {self.kind} or a list of them, each as base64, a data URL or a link",
                pointer=pointer,
            )

    def measure(self, item: Any) -> int:
        """See Input. Media have limits of their own."""
        return 0

    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """See Input."""
        longest = -(-limits.max_input_bytes // 3) * 4
        return {"type": "string", "contentEncoding": "base64", "maxLength": longest}

    def show(self, item: Any) -> str:
        """See Input."""
        try:
            match item:
                case Link(url=url):
                    return url
                case Stored(start=start, size=size):
                    pass
                case bytes():
                    start, size = item, len(item)
                case _:
                    start = encoded.decode(item)
                    size = len(start)
        except (TypeError, AttributeError, ValueError):  # a stock client may have sent anything
            return f"no {self.kind}"
        return summary(start, size)

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        return item

    def _read(self, item: Any, limits: InputLimits, pointer: str) -> bytes | Link:
        """Returns the bytes of base64 or a data URL, or the link. Raises InvalidRequest."""
        self.check(item, pointer)
        if encoded.is_url(item):
            return Link(item)
        if encoded.size(item) > limits.max_input_bytes + 1_000:  # before it is decoded
            self._refuse_size(encoded.size(item), limits, pointer)
        try:
            return encoded.decode(item)
        except ValueError as error:
            raise InvalidRequest(f"inputs: {error}", pointer=pointer) from None

    def _check(self, start: bytes, size: int, limits: InputLimits, pointer: str) -> None:
        """Raises InvalidRequest for a medium that is empty, too large, or in an unknown format."""
        if not size:
            raise InvalidRequest(f"inputs: the {self.kind} is empty: it has 0 bytes", pointer=pointer)
        found = recognise(start)
        if found is None or found.name not in self.formats:
            what = f"this is {found.name} ({found.kind})" if found else "its first bytes are of none"
            raise InvalidRequest(
                f"inputs: not {self.kind} data in a supported format: {what}; supported:"
                f" {', '.join(self.formats)}",
                pointer=pointer,
            )
        if size > limits.max_input_bytes:
            self._refuse_size(size, limits, pointer)

    def _check_header(self, data: bytes, limits: InputLimits, pointer: str) -> None:
        """Raises InvalidRequest if the medium's header says that it is above a limit, once it is decoded."""

    def _refuse_size(self, size: int, limits: InputLimits, pointer: str) -> None:
        self._refuse(f"{size:,} bytes", f"{limits.max_input_bytes:,}", "max_input_bytes", pointer)

    def _refuse(self, size: str, limit: str, setting: str, pointer: str) -> None:
        raise InvalidRequest(
            f"inputs: the {self.kind} has {size}, more than this model's limit of {limit};"
            f" send a smaller one, or raise {setting} in models.toml",
            pointer=pointer,
        )


def refuse_links(admitted: Any, pointer: str) -> None:
    """Raises InvalidRequest for an input with a link where nobody fetches it: in an example, in a queue."""
    if any(links(admitted)):
        raise InvalidRequest("inputs: a link is fetched only for a request to the API", pointer=pointer)


class Image(Media):
    """One image."""

    name = "image"
    kind = "image"

    def _check_header(self, data: bytes, limits: InputLimits, pointer: str) -> None:
        pixels = sizes.pixels_of(data)
        if pixels is not None and pixels > limits.max_pixels:
            self._refuse(f"{pixels:,} pixels", f"{limits.max_pixels:,}", "max_pixels", pointer)


class Audio(Media):
    """One recording of sound."""

    name = "audio"
    kind = "audio"

    def _check_header(self, data: bytes, limits: InputLimits, pointer: str) -> None:
        seconds, rate = sizes.sound_of(data)
        if seconds is not None and seconds > limits.max_seconds:
            self._refuse(f"{seconds:,.1f} seconds", f"{limits.max_seconds:,g}", "max_seconds", pointer)
        if rate is not None and rate > limits.max_sample_rate:
            limit = f"{limits.max_sample_rate:,}"
            self._refuse(f"{rate:,} samples a second", limit, "max_sample_rate", pointer)

    def weigh(self, item: Any, unit_seconds: float | None) -> int:
        """See Input. If the header does not say how long it is, a usual bit rate is assumed."""
        if unit_seconds is None:
            return 1
        seconds = sizes.seconds_of(item) if isinstance(item, bytes) else None
        if seconds is None:
            size = item.size if isinstance(item, Stored) else len(item) if isinstance(item, bytes) else 0
            seconds = size / USUAL_BYTES_PER_SECOND
        return max(1, math.ceil(seconds / unit_seconds))


class Video(Media):
    """One video."""

    name = "video"
    kind = "video"
    max_bytes = 100_000_000
    max_batch_items = 8
