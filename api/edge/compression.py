"""Compresses large JSON answers with gzip: in threads, at the fastest level, and only a few at once.

If MAX_CONCURRENT answers are being compressed, the next one is sent uncompressed, so no request waits.
"""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator

from starlette.types import Scope

MIN_SIZE = 16 * 1024
"""Bytes from which on an answer is compressed. Smaller ones fit into the first packets of a connection."""
LEVEL = 1
"""zlib's compression level. Level 6 takes three to six times as long and makes JSON a tenth smaller."""
MAX_CONCURRENT = 2
"""Maximum number of answers that this process compresses at once, each in at most one thread."""
GZIP_FORMAT = 31
"""zlib's `wbits` for a gzip header and trailer."""

VARY = (b"vary", b"accept-encoding")
ENCODED = (b"content-encoding", b"gzip")

_coding = re.compile(rb"\s*([\w*!#$%&'+.^`|~-]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?")
_busy: set["Compression"] = set()


class Compression:
    """Compresses one answer, in a `with` block. Uses 256 KiB of memory plus one piece in and one out."""

    def __enter__(self) -> "Compression":
        _busy.add(self)
        self._object = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_FORMAT)
        return self

    def __exit__(self, *_: object) -> None:
        _busy.discard(self)

    async def whole(self, body: bytes | memoryview) -> bytes:
        return await asyncio.to_thread(lambda: self._object.compress(body) + self._object.flush())

    async def stream(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The compressed parts, each compressed when it is requested. Raises what `parts` raises."""
        async for part in parts:
            if data := await asyncio.to_thread(self._object.compress, part):
                yield data
        yield self._object.flush()


def compression(scope: Scope) -> Compression | None:
    """A Compression for the answer, or None if the client does not accept gzip or too many are running."""
    return Compression() if len(_busy) < MAX_CONCURRENT and accepts_gzip(scope) else None


def accepts_gzip(scope: Scope) -> bool:
    """Whether `Accept-Encoding` allows gzip, by name or by `*` (RFC 9110, section 12.5.3)."""
    weights: dict[bytes, float] = {}
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            for part in value.lower().split(b","):
                if found := _coding.fullmatch(part):
                    weights[found[1]] = _weight(found[2])
    return weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0))) > 0


def _weight(given: bytes | None) -> float:
    try:
        return 1.0 if given is None else float(given)
    except ValueError:
        return 0.0
