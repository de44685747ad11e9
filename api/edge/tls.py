"""TLS between a connection's socket and its HTTP protocol.

asyncio's own TLS calls the protocol only after the handshake and hides the socket's buffers. Here the
protocol has the connection from its first byte, so its limits also hold for handshakes: the number of
connections (`connections.py`), and the times for headers and answers (`client_deadlines.py`).
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Any, cast

import structlog

from api.edge.certificate import Certificate
from jobs.process import logs

log = structlog.get_logger(__name__)

READ_BYTES = 256 * 1024
"""Maximum bytes decrypted by one call."""
WRITE_BYTES = 256 * 1024
"""Bytes of an answer that are encrypted at once, so that a large answer is not in memory twice."""
_ADVICE = b"This port serves HTTPS: use https:// in the address.\n"
PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_ADVICE), _ADVICE)
)
"""The answer to a request without TLS."""


class TlsTransport:
    """The transport of the HTTP protocol: what is written is encrypted and passed to the socket's transport.

    All buffers are those of the socket's transport. Before the end of the handshake, `write` and `write_eof`
    are kept until then.
    """

    def __init__(self, raw: asyncio.Transport, context: ssl.SSLContext) -> None:
        self._raw = raw
        self._context = context
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        """Whether the handshake has ended."""
        self.ended = False
        """Whether nothing more can be written."""
        self._early: list[bytes] = []
        """What was written before the end of the handshake."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":  # for uvicorn: the scheme is https
            return self._context
        return self._raw.get_extra_info(name, default)

    def write(self, data: bytes) -> None:
        if self.established and not self.ended:
            self._encrypt(data)
        elif not self.ended:
            self._early.append(data)

    def _encrypt(self, data: bytes) -> None:
        if self._raw.is_closing():
            return
        view = memoryview(data)
        for start in range(0, len(view), WRITE_BYTES):
            self._tls.write(view[start : start + WRITE_BYTES])
            self._flush()

    def write_eof(self) -> None:
        """Sends the end of the answer. What the client sends afterwards is not decrypted."""
        self.ended = True
        if self.established and not self._raw.is_closing():
            self._notify()
            self._raw.write_eof()

    def close(self) -> None:
        if not self._raw.is_closing():
            if self.established and not self.ended:
                self._notify()
            self._raw.close()

    def handshake(self, data: bytes) -> None:
        """Continues the handshake with bytes of the client. Raises SSLError if it fails."""
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        else:
            self.established = True
            for early in self._early:
                self._encrypt(early)
            self._early.clear()
            if self.ended:
                self.write_eof()
        finally:  # also an alert about a failure
            self._flush()

    def decrypt(self, data: bytes) -> tuple[bytes, bool]:
        """The decrypted bytes, and whether the client has ended its side. Raises SSLError."""
        self._incoming.write(data)
        parts: list[bytes] = []
        try:
            while part := self._tls.read(READ_BYTES):
                parts.append(part)
            return b"".join(parts), True
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except ssl.SSLZeroReturnError:
            return b"".join(parts), True
        finally:  # an alert, or an answer of TLS itself
            self._flush()

    def _notify(self) -> None:
        """Sends close_notify. The client's is not waited for (RFC 8446, section 6.1)."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if (encrypted := self._outgoing.read()) and not self._raw.is_closing():
            self._raw.write(encrypted)


class TlsProtocol(asyncio.Protocol):
    """The protocol of the socket's transport: decrypts for the HTTP protocol."""

    transport: TlsTransport
    raw: asyncio.Transport

    def __init__(self, certificate: Certificate, http: asyncio.Protocol) -> None:
        self._certificate = certificate
        self._http = http

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.raw = cast(asyncio.Transport, transport)
        self.transport = TlsTransport(self.raw, self._certificate.context)
        self._http.connection_made(cast(asyncio.Transport, self.transport))

    def data_received(self, data: bytes) -> None:
        try:
            if not self.transport.established:
                self.transport.handshake(data)
                data = b""  # a request may have come with the end of the handshake
                if not self.transport.established:
                    return
            if self.transport.ended:
                self._http.data_received(data)  # still encrypted: it is only counted
                return
            decrypted, ended = self.transport.decrypt(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        if decrypted:
            self._http.data_received(decrypted)
        if ended and not self._http.eof_received():
            self.transport.close()

    def _fail(self, error: ssl.SSLError) -> None:
        if logs.debugging():
            log.debug("TLS failed", client=self.raw.get_extra_info("peername"), error=error.reason)
        if error.reason == "HTTP_REQUEST" and not self.raw.is_closing():
            self.raw.write(PLAIN_HTTP)
        self.raw.close()

    def eof_received(self) -> bool | None:
        return self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._http.connection_lost(exc)
