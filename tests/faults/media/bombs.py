"""Pictures that claim too much or nothing, and that decompress to much more than they are."""

import struct
import zlib
from collections.abc import Iterator

from tests.faults.media import png
from tests.faults.media.sample import Sample

LARGE = ((20_000, 20_000), (1_000_000, 1_000), (1, 0x7FFF_FFFF), (0x7FFF_FFFF, 0x7FFF_FFFF), (65_535, 65_535))
NONE = ((0, 0), (0, 10), (10, 0))
MEGA = bytes(1_000_000)


def bombs() -> Iterator[Sample]:
    """Files that must be refused before their pixels are decoded."""
    for width, height in (*LARGE, *NONE, (0xFFFF_FFFF, 1)):
        yield Sample(f"{width} x {height}.png", png.claims(width, height), "refused")
    for width, height in ((65_535, 65_535), (65_535, 1_000), *NONE):
        yield Sample(f"{width} x {height}.gif", gif(width, height), "refused")
        yield Sample(f"{width} x {height}.jpg", jpeg(width, height), "refused")
    for width, height in (*LARGE, *NONE, (-5, 5), (100_000, -100_000)):
        yield Sample(f"{width} x {height}.bmp", bitmap(width, height), "refused")
    for width, height in ((16_384, 16_384), (1 << 24, 1 << 24), (1 << 24, 100)):
        yield Sample(f"{width} x {height}, extended.webp", webp_extended(width, height), "refused")
    yield Sample("16384 x 16384, lossless.webp", webp_lossless(16_384, 16_384), "refused")
    yield Sample("16383 x 16383, lossy.webp", webp_lossy(16_383, 16_383), "refused")
    for width, height in ((100_000, 100_000), (0xFFFF_FFFF, 1), *NONE):
        yield Sample(f"{width} x {height}.tif", tiff(width, height), "refused")
    yield Sample("a frame larger than its screen.gif", gif(10, 10, frame=(65_535, 65_535)), "refused")
    for depth, colour in ((16, png.RGBA), (1, png.GREY), (8, png.PALETTE)):
        data = png.claims(30_000, 30_000, MEGA, depth, colour)
        yield Sample(f"900 million pixels of {depth} bits.png", data, "refused")


def swollen() -> Iterator[Sample]:
    """Small files with much in them besides a small picture."""
    for kind, start in ((b"zTXt", b"k\0\0"), (b"iCCP", b"p\0\0"), (b"iTXt", b"k\0\1\0\0\0")):
        extra = png.chunk(kind, start + zlib.compress(MEGA * 60, 1))
        data = png.file(png.header(8, 8), extra, png.chunk(b"IDAT", zlib.compress(bytes(25 * 8))))
        yield Sample(f"60 MB in {kind.decode()}.png", data, "either")
        texts = png.chunk(b"zTXt", b"k\0\0" + zlib.compress(MEGA, 9)) * 200
        data = png.file(png.header(8, 8), texts, png.chunk(b"IDAT", zlib.compress(bytes(25 * 8))))
        yield Sample(f"200 MB of texts, {kind.decode()}.png", data, "either")
    more = png.chunk(b"IDAT", zlib.compress(bytes(25 * 8) + MEGA * 100, 1))
    yield Sample("100 MB behind the pixels.png", png.file(png.header(8, 8), more), "either")
    yield Sample("empty pieces.png", png.file(png.header(8, 8), png.chunk(b"IDAT") * 50_000), "refused")
    yield Sample("empty extensions.gif", gif(8, 8)[:13] + b"!\xff\0" * 100_000, "refused")
    yield Sample("no end of fill bytes.jpg", b"\xff\xd8" + b"\xff" * 1_000_000, "refused")
    yield Sample("comments only.jpg", b"\xff\xd8" + b"\xff\xfe\0\2" * 100_000, "refused")


def gif(width: int, height: int, frame: tuple[int, int] | None = None) -> bytes:
    """A picture of one colour that ends soon."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return (
        b"GIF89a"
        + screen
        + b","
        + struct.pack("<HHHHB", 0, 0, *(frame or (width, height)), 0)
        + b"\2\2\x44\1\0;"
    )


def jpeg(width: int, height: int) -> bytes:
    """A baseline header and a scan without data."""
    quantisation = b"\xff\xdb\0\x43\0" + b"\1" * 64
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    codes = (
        b"\xff\xc4\0\x14\0" + b"\1" + bytes(15) + b"\0" + b"\xff\xc4\0\x14\x10" + b"\1" + bytes(15) + b"\0"
    )
    return (
        b"\xff\xd8" + quantisation + frame + codes + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(50) + b"\xff\xd9"
    )


def bitmap(width: int, height: int, bits: int = 24, compression: int = 0, data: bytes = bytes(64)) -> bytes:
    def signed(value: int) -> int:
        return value - (1 << 32) if value >= 1 << 31 else value

    about = struct.pack(
        "<IiiHHIIiiII", 40, signed(width), signed(height), 1, bits, compression, len(data), 0, 0, 0, 0
    )
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + about + data


def tiff(width: int, height: int) -> bytes:
    """A strip without compression that ends soon."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: height, 279: 100}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + bytes(300)


def riff(kind: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    body = kind + b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_extended(width: int, height: int) -> bytes:
    canvas = b"\2\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"WEBP", (b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", bytes(40)))


def webp_lossless(width: int, height: int) -> bytes:
    return riff(
        b"WEBP", (b"VP8L", b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + bytes(30))
    )


def webp_lossy(width: int, height: int) -> bytes:
    return riff(b"WEBP", (b"VP8 ", b"\x10\2\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(40)))
