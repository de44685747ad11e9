"""Media in JSON: base64, which may contain line breaks, or a data URL."""

import base64
import binascii

MAX_HEADER = 200
"""Most characters of a data URL before its base64."""


ENTRY = "archive:"
"""Begins the name of a medium in the archive of a batch, as in `archive:photos/cat.png`."""


def is_url(text: str) -> bool:
    """Whether the text is the address of a medium, or the name of an archive's entry."""
    return text[:8].lower().startswith(("http://", "https://", ENTRY))


def decode(text: str) -> bytes:
    """Returns the bytes. Raises ValueError with a message for the client."""
    try:
        return base64.b64decode("".join(text[_start(text) :].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        if isinstance(error, binascii.Error) or "ASCII" in str(error):
            raise ValueError("expected base64 or a data URL, but this is not base64") from None
        raise


def size(text: str) -> int:
    """Returns an upper bound of the number of bytes."""
    return len(text) * 3 // 4


def _start(text: str) -> int:
    """Returns the index at which the base64 starts. Raises ValueError for a data URL without base64."""
    if not text.startswith("data:"):
        return 0
    header, comma, _ = text[:MAX_HEADER].partition(",")
    if not comma or not header.endswith(";base64"):
        raise ValueError("a data URL must look like data:image/png;base64,...")
    return len(header) + 1
