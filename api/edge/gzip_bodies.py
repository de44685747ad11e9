"""Decompresses bodies with `Content-Encoding: gzip`, piece by piece.

`api/edge/bodies.py` limits the size: it counts each piece before it requests the next one.
"""

import zlib
from collections.abc import Iterator

from starlette.requests import Request

from api.edge.compression import GZIP_FORMAT
from api.problems.problem import Refusal
from jobs.errors import InvalidRequest

PIECE = 64 * 1024
"""Bytes that are decompressed at once. This takes well under a millisecond for any body."""
MAX_MEMBERS = 1_000
"""Maximum gzip members of a body (RFC 1952). Each takes time even if it is empty."""


class Decompression:
    """Decompresses one body. Raises InvalidRequest if it is not valid gzip."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(GZIP_FORMAT)
        self._members = 1

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decompresses the next bytes of the body, into pieces of at most PIECE bytes."""
        while data:
            if self._object.eof:
                self._next_member()
            try:
                yield self._object.decompress(data, PIECE)
            except zlib.error as error:
                raise InvalidRequest(f"the body is not valid gzip: {error}") from None
            data = self._object.unused_data or self._object.unconsumed_tail

    def end(self) -> None:
        """Notes the end of the body. Raises InvalidRequest if the gzip data is incomplete."""
        if not self._object.eof:
            raise InvalidRequest("the body's gzip data is incomplete")

    def _next_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise InvalidRequest(f"the body has more than {MAX_MEMBERS} gzip members")
        self._object = zlib.decompressobj(GZIP_FORMAT)


def decompression(request: Request) -> Decompression | None:
    """A Decompression for gzip, None for an uncompressed body. Raises Refusal for any other encoding."""
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
            f"content encoding {', '.join(codings)} is not supported; use none, or gzip once",
            headers={"accept-encoding": "gzip"},
        )
    return Decompression()
