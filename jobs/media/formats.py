"""Recognises the format of a medium by its first bytes, whatever its name or content type says."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "audio", "video"]

PREFIX = 64
"""Bytes from which every format is recognised."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format of media."""

    name: str
    """As people call it; of an image also Pillow's name."""
    kind: Kind
    content_type: str
    extension: str
    begins: bytes
    within: tuple[int, bytes] = (0, b"")
    """Bytes at an offset, if the first ones are not enough."""

    def fits(self, data: bytes) -> bool:
        """Whether the data begins like this format."""
        at, expected = self.within
        return data.startswith(self.begins) and data[at : at + len(expected)] == expected


FORMATS = (
    Format("JPEG", "image", "image/jpeg", "jpg", b"\xff\xd8\xff"),
    Format("PNG", "image", "image/png", "png", b"\x89PNG\r\n\x1a\n"),
    Format("GIF", "image", "image/gif", "gif", b"GIF8"),
    Format("BMP", "image", "image/bmp", "bmp", b"BM"),
    Format("WEBP", "image", "image/webp", "webp", b"RIFF", (8, b"WEBP")),
    Format("WAV", "audio", "audio/wav", "wav", b"RIFF", (8, b"WAVE")),
    Format("FLAC", "audio", "audio/flac", "flac", b"fLaC"),
    Format("OGG", "audio", "audio/ogg", "ogg", b"OggS"),
)
"""Every format that some task accepts."""


def recognise(data: bytes) -> Format | None:
    """Returns the format that the data begins with."""
    start = data[:PREFIX]
    return next((each for each in FORMATS if each.fits(start)), None)


def of_kind(kind: Kind) -> tuple[Format, ...]:
    """Returns all formats of one kind of medium."""
    return tuple(each for each in FORMATS if each.kind == kind)
