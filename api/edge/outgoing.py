"""The outgoing side of a connection: counts unacknowledged bytes, and closes without losing the answer."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

LINGER_SECONDS = 8.0
"""Seconds in which bytes sent after the answer are dropped. Less than a stopping server's grace period."""
LINGER_BYTES = 64 * 1024 * 1024
"""Maximum bytes that are read and dropped after an answer."""


class OutgoingBuffer:
    """A transport that counts the written bytes that the client has not acknowledged.

    Closing a socket with unread data resets the connection, and the client may lose the answer. So while the
    client may be `sending`, `close` only shuts down the sending side. Further bytes from the client are read
    and dropped for up to LINGER_SECONDS (RFC 9112, section 9.6).
    """

    def __init__(self, transport: asyncio.Transport, sending: Callable[[], bool]) -> None:
        self._transport = transport
        self._sending = sending
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._head = b""
        """Headers that wait for the first part of their body, to send both in one system call and packet."""
        self.written = 0
        self.written_before = 0
        """Bytes written before the last write."""
        self._linger_timer: asyncio.TimerHandle | None = None
        """The timer that closes a lingering connection."""
        self.dropped = 0
        """Dropped bytes of the last request."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.written_before = self.written
        self.written += len(data)
        if not self._head and data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self.flush)
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data)

    def flush(self) -> None:
        """Sends headers that wait for their body."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def is_closing(self) -> bool:
        return self.lingering or self._transport.is_closing()

    def close(self) -> None:
        self.flush()
        if self.is_closing() or not self._sending():
            self.disconnect()
        else:
            try:
                self._transport.write_eof()
            except OSError:  # asyncio's transports raise it if the client has reset the connection
                self.disconnect()
                return
            self._transport.resume_reading()
            self._linger_timer = self._loop.call_later(LINGER_SECONDS, self.disconnect)

    @property
    def lingering(self) -> bool:
        """Whether the answer has ended and further bytes from the client are dropped."""
        return self._linger_timer is not None

    def drop(self, size: int) -> None:
        """Counts dropped bytes. Closes the connection after LINGER_BYTES."""
        self.dropped += size
        if self.dropped > LINGER_BYTES:
            self.disconnect()

    def disconnect(self) -> None:
        """Closes the connection once all is sent, even if the client is still sending."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self.flush()
        self._transport.close()

    @property
    def unacknowledged(self) -> int:
        """Unacknowledged bytes; on other systems than Linux only those that the system has not yet taken."""
        count = self._transport.get_write_buffer_size()
        if sys.platform == "linux":  # TIOCOUTQ has the same value as SIOCOUTQ there
            held = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
            count += int.from_bytes(held, sys.byteorder)
        return count

    def abort(self) -> None:
        """Closes the connection and drops the system's buffer, which it would otherwise retry for minutes."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
