"""Recognises the format of a medium by its first bytes, whatever its name or content type says."""

from dataclasses import dataclass
from typing import Literal

from jobs.wording import bytes_in_words

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
    begins: tuple[bytes, ...]
    """One of these is at `offset`."""
    offset: int = 0
    opens: bytes = b""
    """The first bytes, if the format is recognised by later ones too."""
    also: tuple[Kind, ...] = ()
    """Other kinds of media that it may contain."""
    read: bool = True
    """Whether a decoder for it is installed. Otherwise it is known only to say what was sent."""

    def fits(self, data: bytes) -> bool:
        """Whether the data begins like this format."""
        return data.startswith(self.opens) and data.startswith(self.begins, self.offset)


FORMATS = (
    # images: what Pillow's wheels read without packages of the system
    Format("JPEG", "image", "image/jpeg", "jpg", (b"\xff\xd8\xff",)),
    Format("PNG", "image", "image/png", "png", (b"\x89PNG\r\n\x1a\n",)),
    Format("GIF", "image", "image/gif", "gif", (b"GIF87a", b"GIF89a"), also=("video",)),
    Format("BMP", "image", "image/bmp", "bmp", (b"BM",)),
    Format("WEBP", "image", "image/webp", "webp", (b"WEBP",), 8, b"RIFF"),
    Format("TIFF", "image", "image/tiff", "tif", (b"II*\0", b"MM\0*")),
    Format("AVIF", "image", "image/avif", "avif", (b"ftypavif", b"ftypavis"), 4),
    Format(
        "HEIC",
        "image",
        "image/heic",
        "heic",
        (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1"),
        4,
        read=False,
    ),
    # sounds: what libsndfile reads
    Format("WAV", "audio", "audio/wav", "wav", (b"WAVE",), 8, b"RIFF"),
    Format("FLAC", "audio", "audio/flac", "flac", (b"fLaC",)),
    Format("OGG", "audio", "audio/ogg", "ogg", (b"OggS",)),
    Format("AIFF", "audio", "audio/aiff", "aiff", (b"AIFF", b"AIFC"), 8, b"FORM"),
    Format(
        "MP3",
        "audio",
        "audio/mpeg",
        "mp3",
        (b"ID3", *(bytes((0xFF, second)) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2))),
    ),
    Format("AAC", "audio", "audio/aac", "aac", (b"\xff\xf1", b"\xff\xf9"), read=False),
    Format("M4A", "audio", "audio/mp4", "m4a", (b"ftypM4A", b"ftypM4B"), 4, read=False),
    # videos: what PyAV reads
    Format("MP4", "video", "video/mp4", "mp4", (b"ftyp",), 4),
    Format("WEBM", "video", "video/webm", "webm", (b"\x1a\x45\xdf\xa3",)),
    Format("AVI", "video", "video/x-msvideo", "avi", (b"AVI ",), 8, b"RIFF"),
)
"""Every format that is recognised. The first that fits counts: MP4 is a family of formats."""


def recognise(data: bytes) -> Format | None:
    """Returns the format that the data begins with."""
    start = data[:PREFIX]
    return next((each for each in FORMATS if each.fits(start)), None)


def summary(start: bytes, size: int) -> str:
    """Returns the format and the size of a medium that begins so: `PNG image, 1.2 kB`."""
    found = recognise(start)
    return f"{f'{found.name} {found.kind}' if found else 'unknown format'}, {bytes_in_words(size)}"


def of_kind(kind: Kind) -> tuple[Format, ...]:
    """Returns all formats of one kind of medium that can be decoded."""
    return tuple(each for each in FORMATS if each.read and kind in (each.kind, *each.also))
