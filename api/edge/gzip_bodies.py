"""Bodies that come with `Content-Encoding: gzip`, decompressed piece by piece.

What is decompressed is limited by `api/edge/bodies.py`, which counts each piece before it asks for the next.
"""

import zlib
from collections.abc import Iterator

from starlette.requests import Request

from api.edge.compression import GZIP_FORMAT
from api.problems.problem import Refusal
from jobs.errors import InvalidRequest

PIECE = 64 * 1024
"""Bytes that are decompressed at once: well under a millisecond, whatever the body."""
MEMBERS = 1_000
"""Parts that a body may be compressed in (RFC 1952); each costs time even if it is empty."""


class Decompression:
    """Of one body. Raises InvalidRequest for what is not gzip."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(GZIP_FORMAT)
        self._members = 1

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The next bytes of the body, decompressed, at most PIECE bytes each."""
        while data:
            if self._object.eof:
                self._next_member()
            try:
                yield self._object.decompress(data, PIECE)
            except zlib.error as error:
                raise InvalidRequest(f"the body is not valid gzip: {error}") from None
            data = self._object.unused_data or self._object.unconsumed_tail

    def end(self) -> None:
        """There is no more of the body."""
        if not self._object.eof:
            raise InvalidRequest("the body's gzip data is incomplete")

    def _next_member(self) -> None:
        self._members += 1
        if self._members > MEMBERS:
            raise InvalidRequest(f"the body has more than {MEMBERS} gzip members")
        self._object = zlib.decompressobj(GZIP_FORMAT)


def decompression(request: Request) -> Decompression | None:
    """None for a body that is sent plain. Raises Refusal for any other encoding."""
    codings = [
        coding
        for value in request.headers.getlist("content-encoding")
        for coding in map(str.strip, value.lower().split(","))
        if coding != "identity"
    ]
    if not codings:
        return None
    if codings not in (["gzip"], ["x-gzip"]):
        raise Refusal(
            "unsupported-media-type",
            f"content encoding {', '.join(codings)} is not understood; send the body plain, or gzip once",
            headers={"accept-encoding": "gzip"},
        )
    return Decompression()
