"""A minimal HTTP client: one connection, one request at a time, the next as soon as the answer has arrived.

Requests are prepared bytes; only the status and content-length of an answer are parsed. No redirects, no
chunks, no pipelining.
"""

import asyncio
import time
from typing import NamedTuple, Protocol, cast

END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"


class Request(NamedTuple):
    number: int
    data: bytes


class Source(Protocol):
    """Provides a connection's requests and receives their outcomes."""

    def take(self) -> Request | None:
        """Returns the next request, if there is one."""
        ...

    def answered(self, request: Request, status: int, body: bytes, seconds: float) -> None: ...

    def failed(self, request: Request, reason: str) -> None:
        """Called if the request gets no answer; its connection sends no more requests."""
        ...


def post(path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Returns the bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {content_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """A closed loop over one kept-alive connection; `closed` is done when it has ended for any reason."""

    def __init__(self, source: Source) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._source = source
        self._request: Request | None = None
        self._began = 0.0
        self._got = b""
        self._body = self._total = self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._send()

    def data_received(self, data: bytes) -> None:
        self._got = self._got + data if self._got else data
        if not self._total:
            try:
                self._read_head()
            except ValueError as error:
                self._break(f"the answer cannot be parsed: {error}")
        if self._total and len(self._got) >= self._total:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self._break(f"the connection was closed: {error or 'by the server'}")
        if not self.closed.done():
            self.closed.set_result(None)

    def rest(self) -> None:
        """Called if there is no request; a closed loop then closes the connection."""
        self._transport.close()

    def _send(self) -> None:
        self._request = self._source.take()
        if self._request is None:
            self.rest()
            return
        self._got, self._total = b"", 0
        self._began = time.perf_counter()
        self._transport.write(self._request.data)

    def _read_head(self) -> None:
        end = self._got.find(END)
        if end < 0:
            return
        head = self._got[:end].lower()
        at = head.find(LENGTH)
        if not head.startswith(b"http/1.1 ") or at < 0:
            raise ValueError(f"no HTTP/1.1 with a content-length in {head[:100]!r}")
        self._status = int(head[9:12])
        self._body = end + len(END)
        self._total = self._body + int(head[at + len(LENGTH) :].partition(b"\r\n")[0])

    def _end(self) -> None:
        if self._request is None:
            return
        if len(self._got) > self._total:
            self._break("more than one answer arrived")
            return
        seconds = time.perf_counter() - self._began
        self._source.answered(self._request, self._status, self._got[self._body :], seconds)
        self._send()

    def _break(self, reason: str) -> None:
        request, self._request = self._request, None
        if request is not None:
            self._source.failed(request, reason)
        self._transport.close()
