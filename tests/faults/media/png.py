"""PNG files that no library would write."""

import struct
import zlib
from collections.abc import Iterable

import numpy as np

MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types."""


def chunk(kind: bytes, body: bytes = b"", *, size: int | None = None, crc: int | None = None) -> bytes:
    """A chunk, with a size or a checksum that may be wrong."""
    checksum = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body) if size is None else size) + kind + body + struct.pack(">I", checksum)


def header(width: int, height: int, depth: int = 8, colour: int = RGB, interlaced: bool = False) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def file(*chunks: bytes) -> bytes:
    return MAGIC + b"".join(chunks) + chunk(b"IEND")


def claims(width: int, height: int, data: bytes = bytes(60_000), depth: int = 8, colour: int = RGB) -> bytes:
    """A picture that claims to be so large and has a few rows at most."""
    return file(header(width, height, depth, colour), chunk(b"IDAT", zlib.compress(data, 9)))


def packed(rows: np.ndarray, depth: int) -> bytes:
    """Rows of samples, [rows, samples] from 0 to 255, each after its filter byte."""
    if depth == 16:
        lines: Iterable[bytes] = ((row.astype(">u2") * 257).tobytes() for row in rows)
    elif depth == 8:
        lines = (row.astype(np.uint8).tobytes() for row in rows)
    else:
        values = rows.astype(np.int64) >> (8 - depth)
        bits = (values[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        lines = (np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits)
    return b"".join(b"\0" + line for line in lines)


def picture(samples: np.ndarray, colour: int, depth: int = 8, *extra: bytes) -> bytes:
    """A picture of samples, [height, width, channels] from 0 to 255; `extra` chunks come before its data."""
    height, width, _ = samples.shape
    body = zlib.compress(packed(samples.reshape(height, -1), depth))
    return file(header(width, height, depth, colour), *extra, chunk(b"IDAT", body))


ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Of each pass: first row, first column, rows between, columns between."""


def interlaced(samples: np.ndarray, colour: int, depth: int = 8) -> bytes:
    height, width, _ = samples.shape
    passes = [samples[top::down, left::right] for top, left, down, right in ADAM7]
    body = b"".join(packed(part.reshape(part.shape[0], -1), depth) for part in passes if part.size)
    return file(header(width, height, depth, colour, interlaced=True), chunk(b"IDAT", zlib.compress(body)))


def in_pieces(data: bytes, size: int) -> bytes:
    """The same picture, with its data in chunks of so many bytes."""
    kinds = list(read(data))
    body = b"".join(part for kind, part in kinds if kind == b"IDAT")
    pieces = [chunk(b"IDAT", body[at : at + size]) for at in range(0, len(body), size)]
    return file(*[chunk(kind, part) for kind, part in kinds if kind == b"IHDR"], *pieces)


def read(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    """The chunks of a file, by kind and content."""
    at = len(MAGIC)
    while at < len(data):
        [size] = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12
