"""gzip of large JSON answers: beside the event loop, with the fastest level, and only a few at once.

Where as many are compressed as may be, a further answer is sent plain: no request waits for this.
"""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator

from starlette.types import Scope

LEAST = 16 * 1024
"""Bytes from which on an answer is compressed. Smaller ones arrive in the first flight of packets anyhow."""
LEVEL = 1
"""Of zlib. Level 6 takes three to six times as long, and makes JSON smaller by a tenth."""
AT_ONCE = 2
"""Answers of this process that are compressed at once, each by one thread at most."""
GZIP_FORMAT = 31
"""zlib's `wbits` for a gzip header and trailer."""

VARY = (b"vary", b"accept-encoding")
ENCODED = (b"content-encoding", b"gzip")

_coding = re.compile(rb"\s*([\w*!#$%&'+.^`|~-]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?")
_busy: set["Compression"] = set()


class Compression:
    """The compression of one answer, within its `with` block. Its memory: 256 KiB, and a piece each way."""

    def __enter__(self) -> "Compression":
        _busy.add(self)
        self._object = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_FORMAT)
        return self

    def __exit__(self, *_: object) -> None:
        _busy.discard(self)

    async def whole(self, body: bytes | memoryview) -> bytes:
        return await asyncio.to_thread(lambda: self._object.compress(body) + self._object.flush())

    async def stream(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The parts, each compressed once it is asked for. Raises what they raise."""
        async for part in parts:
            if data := await asyncio.to_thread(self._object.compress, part):
                yield data
        yield self._object.flush()


def compression(scope: Scope) -> Compression | None:
    """A compression for an answer to this request; None where its client takes none, or all are busy."""
    return Compression() if len(_busy) < AT_ONCE and accepts_gzip(scope) else None


def accepts_gzip(scope: Scope) -> bool:
    """Whether `Accept-Encoding` has gzip, or anything (RFC 9110, section 12.5.3)."""
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
