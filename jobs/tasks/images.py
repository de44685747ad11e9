"""Images as inputs: base64 or a data URL in a supported format. Only the engine decodes the pixels."""

import base64
import binascii
from typing import Any

from jobs.errors import InvalidRequest
from jobs.tasks.inputs import Input

FORMATS = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "GIF": b"GIF8",
    "BMP": b"BM",
    "WEBP": b"RIFF",
}
"""Supported formats, by Pillow's names -> their first bytes."""

MAX_HEADER = 200
"""Most characters of a data URL before its base64."""

PREFIX_CHARS = 64
"""Characters of base64 that are decoded to recognise a format."""


class Image(Input):
    """One image. The limit applies to its base64, which may contain line breaks."""

    name = "image"
    has_texts = False
    max_chars = 8_000_000
    """About 6 MB of JPEG, a phone's photo; `BATCHLINE_MAX_REQUEST_BYTES` allows little more."""
    least_chars = 256
    max_batch_items = 32

    def accept(self, item: Any, limit: int, pointer: str) -> None:
        """See Input."""
        self.check(item, pointer)
        if len(item) > limit:
            raise InvalidRequest(
                f"inputs: {len(item)} characters of base64 exceed this model's limit of {limit};"
                " send a smaller image, or raise max_input_chars in models.toml",
                pointer=pointer,
            )

    def check(self, item: Any, pointer: str) -> None:
        """See Input. Only the first bytes are decoded."""
        if not isinstance(item, str):
            raise InvalidRequest(
                "inputs: expected an image or a list of images, each as base64 or a data URL", pointer=pointer
            )
        try:
            format_of(item)
        except ValueError as error:
            raise InvalidRequest(f"inputs: {error}", pointer=pointer) from None

    def measure(self, item: str) -> int:
        """See Input."""
        return len(item)

    def describe(self, limit: int) -> dict[str, Any]:
        """See Input."""
        return {"type": "string", "contentEncoding": "base64", "maxLength": limit}

    def show(self, item: Any) -> str:
        """See Input."""
        try:
            size = (len(item) - start_of(item)) * 3 // 4
            return f"{format_of(item)} image, {size / 1000:,.1f} kB"
        except (TypeError, AttributeError, ValueError):  # a stock client may have sent anything
            return "not an image"

    def cut(self, item: str, limit: int) -> str:
        """See Input."""
        return item


def start_of(item: str) -> int:
    """Returns the index at which the base64 starts. Raises ValueError for a data URL without base64."""
    if not item.startswith("data:"):
        return 0
    header, comma, _ = item[:MAX_HEADER].partition(",")
    if not comma or not header.endswith(";base64"):
        raise ValueError("a data URL of an image must look like data:image/png;base64,...")
    return len(header) + 1


def format_of(item: str) -> str:
    """Returns the format, from the first bytes. Raises ValueError with a message for the client."""
    if item.startswith(("http://", "https://")):
        raise ValueError("images are not fetched from URLs: send the image as base64 or a data URL")
    start = start_of(item)
    prefix = "".join(item[start : start + 2 * PREFIX_CHARS].split())[:PREFIX_CHARS]
    try:
        first = base64.b64decode(prefix[: len(prefix) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected an image as base64 or a data URL, but this is not base64") from None
    for name, begin in FORMATS.items():
        if first.startswith(begin) and (name != "WEBP" or first[8:12] == b"WEBP"):
            return name
    raise ValueError(f"not an image in a supported format; supported: {', '.join(FORMATS)}")
