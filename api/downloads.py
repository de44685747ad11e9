"""Download: reads the answers of the hosts of a request's links, within its limits (`api/links.py`)."""

import asyncio
import re
from collections.abc import Callable

import httpx

from jobs.errors import InvalidRequest
from jobs.monitoring.link_metrics import LinkFailure

FREE_PIECES = 1_000
PIECE = 512
"""A medium may come in so many pieces, and one more for each so many bytes. Each takes about 50 us, so one of
single bytes would hold up everything else."""
PIECES_AT_ONCE = 32
"""Pieces after which other requests are served: those that have arrived together are read without a pause."""


class LinkFailed(InvalidRequest):
    """A link that is not allowed or cannot be fetched."""

    def __init__(self, reason: LinkFailure, words: str, pointer: str) -> None:
        super().__init__(f"inputs: {words}", pointer)
        self.reason = reason


class Download:
    """Reads answers within the limits of one request."""

    def __init__(self, grow: Callable[[int], object], most_each: int, most: int) -> None:
        """`grow` is told of the bytes of each piece before they are kept; it may raise OverBudget."""
        self._grow = grow
        self._most_each, self._most = most_each, most
        self.received = 0

    async def read(self, response: httpx.Response, pointer: str) -> bytes:
        """The body of the answer. Raises InvalidRequest; OverBudget."""
        if 300 <= response.status_code < 400:
            raise refused("status", "it leads to another link, which is not followed; send that one", pointer)
        if response.status_code != 200:
            raise refused("status", f"its host answers {response.status_code}", pointer)
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            raise refused("protocol", "its host compresses the answer, although it was not asked to", pointer)
        announced = response.headers.get("content-length", "")
        self._check(int(announced) if re.fullmatch(r"[0-9]{1,18}", announced) else 0, 0, pointer)
        body, pieces = bytearray(), 0
        async for piece in _stream(response):
            pieces += 1
            if pieces > FREE_PIECES + len(body) // PIECE:
                raise refused("protocol", "its host sends it in too many small pieces", pointer)
            if pieces % PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)
            self._check(len(body) + len(piece), len(piece), pointer)
            self.received += len(piece)
            self._grow(len(piece))
            body += piece
        return bytes(body)

    def _check(self, size: int, more: int, pointer: str) -> None:
        if size > self._most_each:
            raise refused(
                "too_large",
                f"it has more bytes than this model's limit of {self._most_each:,}; raise max_input_bytes in"
                " models.toml",
                pointer,
            )
        if self.received + more > self._most:
            raise refused(
                "too_large",
                f"the links of one request may have {self._most:,} bytes (BATCHLINE_MAX_REQUEST_BYTES)",
                pointer,
            )


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


def refused(reason: LinkFailure, words: str, pointer: str) -> LinkFailed:
    """The error for a link that cannot be fetched."""
    return LinkFailed(reason, f"the link cannot be fetched: {words}", pointer)
