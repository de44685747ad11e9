"""Deadlines that uvicorn's protocol lacks: for a request's headers to come, and for an answer to be taken.

A body's deadline is in `api/bodies.py`. Without these a client that says nothing, or reads nothing, would
hold its connection, and the answer in memory, for ever.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Any, cast

import structlog

from api.protocol import Protocol

log = structlog.get_logger(__name__)

HEAD_SECONDS = 20.0
"""Seconds in which a request's headers must have come, from the connection's or their own first byte on."""
PACE = 1024
"""Bytes a second that a client must take of an answer that waits for it."""
PACE_EVERY = 30.0
"""Seconds over which this is measured."""
AHEAD = 256 * 1024
"""Bytes that a client may be ahead by. Its system takes lumps, and then nothing until it has read those."""


class Outlet:
    """A transport that knows how much of what was written to it the client has not acknowledged."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._head = b""
        """Headers that wait for the first part of their body: one system call for both, one packet."""
        self.written = 0
        self.before = 0
        """Bytes that were written before the last write."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.before = self.written
        self.written += len(data)
        if not self._head and data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self.flush)
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data)

    def flush(self) -> None:
        """Sends headers whose body is not here yet."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    @property
    def left(self) -> int:
        """Bytes; where the system doesn't tell what it holds itself, only those that it has not taken."""
        left = self._transport.get_write_buffer_size()
        if sys.platform == "linux":  # SIOCOUTQ has this name there
            held = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
            left += int.from_bytes(held, sys.byteorder)
        return left

    def abort(self) -> None:
        """Also lets the system forget at once what it still holds; it would try for minutes."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class Paced(Protocol):
    """Hangs up on clients that are slower than that."""

    outlet: Outlet
    _head: asyncio.TimerHandle | None = None
    _pace: asyncio.TimerHandle | None = None
    _ahead = 0.0
    """Bytes that the client took beyond its pace."""
    _due = 0.0
    """Bytes that it must take until the next look: its pace, or all that there was at the last look."""
    _late = False
    """Whether it had not taken all when the next request might have been due."""
    _taken = 0
    """Bytes that it had taken at the last look."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.outlet = Outlet(transport)
        super().connection_made(cast(asyncio.Transport, self.outlet))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        if self._pace is not None:
            self._pace.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()  # it may also be the rest of a body that nobody wants, which has no end
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._mind_pace()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._mind_pace()

    def timeout_keep_alive_handler(self) -> None:
        """The time between requests begins when the answer has been taken."""
        late, self._late = self._late, not self.transport.is_closing() and self.outlet.left > 0
        if not late and not self._late:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _mind_pace(self) -> None:
        if self._pace is None and (left := self.outlet.left):
            self._ahead = 0.0
            self._measure(left, min(self.outlet.before, self.outlet.written - left))

    def _measure(self, left: int, taken: int) -> None:
        self._due = min(left, PACE * PACE_EVERY)
        self._taken = taken
        self._pace = self.loop.call_later(PACE_EVERY, self._look)

    def _look(self) -> None:
        self._pace = None
        left = self.outlet.left
        taken = self.outlet.written - left
        self._ahead = min(self._ahead + taken - self._taken, AHEAD) - self._due
        if self._ahead < 0:
            log.info("client too slow", client=self.client, bytes_left=left)
            self.transport.abort()
        elif left:
            self._measure(left, taken)
