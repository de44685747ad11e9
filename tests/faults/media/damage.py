"""Files that are damaged, that are several things at once, or that are something else."""

import io
import random
import zipfile
from collections.abc import Iterator, Mapping

from tests.faults.media.sample import Outcome, Sample

CUTS = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
FLIPS = 12
TAILS = 3


def truncated(whole: Mapping[str, bytes], *, notices: bool = True) -> Iterator[Sample]:
    """The start of each file. `notices`: half of it must be refused."""
    for name, data in whole.items():
        for share in CUTS:
            outcome: Outcome = "refused" if notices and share <= 0.5 else "either"
            yield Sample(f"{share:.0%} of {name}", data[: max(1, int(len(data) * share))], outcome)
        for size in (1, 4, 12, 16, 30):
            yield Sample(f"{size} bytes of {name}", data[:size], "refused")


def changed(whole: Mapping[str, bytes], chance: random.Random) -> Iterator[Sample]:
    """Each file with some bits changed, with a part twice, and with a part missing."""
    for name, data in whole.items():
        for number in range(FLIPS):
            damaged = bytearray(data)
            for _ in range(1 + number):
                at = chance.randrange(4, len(data))
                damaged[at] ^= 1 << chance.randrange(8)
            yield Sample(f"bits changed {number} in {name}", bytes(damaged), "either")
        start, end = sorted(chance.sample(range(20, len(data)), 2))
        yield Sample(f"a part missing in {name}", data[:start] + data[end:], "either")
        yield Sample(f"a part twice in {name}", data[:end] + data[start:], "either")
        yield Sample(f"a part of zeros in {name}", data[:start] + bytes(end - start) + data[end:], "either")


def random_after(magics: Mapping[str, bytes], chance: random.Random) -> Iterator[Sample]:
    """Random bytes after the first bytes of each format."""
    for name, magic in magics.items():
        for size in (0, 40, 4_000)[:TAILS]:
            yield Sample(f"{size} random bytes after {name}", magic + chance.randbytes(size), "refused")


def polyglots(whole: Mapping[str, bytes], *, ignores: bool = True) -> Iterator[Sample]:
    """Whole files with something else behind them. `ignores`: the decoder must ignore it."""
    outcome: Outcome = "answer" if ignores else "either"
    for name, data in whole.items():
        for what, content in {
            "zip": _zip(),
            "script": b"*/=1;alert(document.domain)//",
            "page": b"<html><script>alert(1)</script></html>",
            "program": b"\x7fELF" + bytes(100),
        }.items():
            yield Sample(f"{name} + {what}", data + content, outcome)
        for other, more in whole.items():
            if other != name:
                yield Sample(f"{name} + {other}", data + more, outcome)


def others(chance: random.Random) -> Iterator[Sample]:
    """Files of other types."""
    for name, data in {
        "nothing": b"",
        "a zero byte": b"\0",
        "zeros": bytes(10_000),
        "text": b"This is a picture of a cat. " * 100,
        "UTF-16 text": "a cat".encode("utf-16") * 100,
        "a page": b"<!doctype html><img src=x onerror=alert(1)>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "XML with entities": b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">]><l>&a;</l>',
        "JSON": b'{"a": [1, 2, 3]}',
        "PDF": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 20,
        "MP4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(500),
        "Matroska": b"\x1aE\xdf\xa3" + bytes(500),
        "zip": _zip(),
        "gzip": b"\x1f\x8b\x08" + bytes(500),
        "a program": b"\x7fELF\2\1\1" + bytes(500),
        "a Windows program": b"MZ" + bytes(500),
        "pickle": b"\x80\x04cposix\nsystem\n\x8c\x02id\x85R.",
        "TIFF": b"II*\0\x08\0\0\0" + bytes(500),
        "BigTIFF": b"MM\0+\0\x08\0\0" + bytes(500),
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(500),
        "AVIF": b"\0\0\0\x20ftypavif\0\0\0\0" + bytes(500),
        "an icon": b"\0\0\1\0\1\0" + bytes(500),
        "Photoshop": b"8BPS\0\1" + bytes(500),
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(500),
        "another RIFF": b"RIFF\xff\0\0\0AVI LIST" + bytes(500),
        "nearly PNG": b"\x89PNG\n\x1a\n" + bytes(500),
        "data URL": b"data:image/png;base64,iVBORw0KGgo=",
    }.items():
        yield Sample(name, data, "refused")
    for size in (1, 10, 100, 10_000):
        yield Sample(f"{size} random bytes", b"\0" + chance.randbytes(size), "refused")


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.txt"), "a" * 1_000)
    return file.getvalue()
