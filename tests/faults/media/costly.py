"""Images of an acceptable size that would take minutes or gigabytes to decode."""

import struct
from collections.abc import Iterator

from tests.faults.media.bombs import bitmap
from tests.faults.media.sample import Sample

LZW, DEFLATE, PACK_BITS = 5, 8, 32773


def images() -> Iterator[Sample]:
    """Each must be refused."""
    yield Sample("1,000 scans.jpg", scans(1_900, 1_900, 1_000), "refused")
    for name, run in {"one pixel": b"\1\0", "nothing": b"\0\0", "a jump": b"\0\2\0\0"}.items():
        yield Sample(f"runs of {name}.bmp", runs(run, 2_000_000 // len(run)), "refused")
    for compression in (LZW, DEFLATE, PACK_BITS):
        yield Sample(
            f"a tile of 4 GB, code {compression}.tif", tiled(1 << 16, 1 << 16, compression), "refused"
        )
        yield Sample(
            f"a tile of 1 GB, code {compression}.tif", tiled(1 << 20, 1 << 10, compression), "refused"
        )


def scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG in which each scan says of all blocks at once that nothing changes."""
    quantisation = b"\xff\xdb\0\x43\0" + b"\1" * 64
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    codes = (
        b"\xff\xc4\0\x14\0" + b"\1" + bytes(15) + b"\0" + b"\xff\xc4\0\x14\x10" + b"\1" + bytes(15) + b"\xe0"
    )
    blocks = -(-width // 8) * -(-height // 8)
    first = b"\xff\xda\0\x08\1\1\0\0\0\0" + bytes(-(-blocks // 8))
    later = b"\xff\xda\0\x08\1\1\0\1\x3f\0" + bytes(-(-blocks * 15 // 16_384 // 8) + 2)
    return b"\xff\xd8" + quantisation + frame + codes + first + later * count + b"\xff\xd9"


def runs(run: bytes, count: int) -> bytes:
    """A bitmap with so many runs, for which Pillow's decoder is Python."""
    content = bytearray(bitmap(2_000, 1_900, 8, 1, bytes(4 * 256) + run * count))
    struct.pack_into("<I", content, 10, 54 + 4 * 256)
    return bytes(content)


def tiled(width: int, length: int, compression: int) -> bytes:
    """A TIFF of 8 x 8 pixels that is stored in one tile."""
    tags = {
        256: 8,
        257: 8,
        258: 8,
        259: compression,
        262: 1,
        277: 1,
        322: width,
        323: length,
        324: 200,
        325: 9_000,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + bytes(10_000)
