"""uvicorn's HTTP/1.1 protocol with stricter checks of requests. Answers Upgrade requests as HTTP/1.1."""

from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD = 64 * 1024
"""Maximum bytes of a request's headers or of a body's trailers. One read may exceed it."""
MAX_PIPELINED = 16
"""Maximum requests that may wait on a connection. Above it nothing more is read from the connection."""
SERVICE_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)
"""The response on a connection above the limit."""


class Parser(httptools.HttpRequestParser):
    """A parser that stops after a request with an Upgrade header and passes what follows to the protocol."""

    def __init__(self, protocol: "HttpProtocol") -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn's protocol
        self.protocol = protocol

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not has_ignored_upgrade(self):
                raise
            self.protocol.rest = memoryview(data)[upgrade.args[0] :]


def has_ignored_upgrade(parser: httptools.HttpRequestParser) -> bool:
    """Whether the request has an Upgrade header that may be ignored. httptools does not read its body."""
    return parser.should_upgrade() and parser.get_method() != b"CONNECT"


class HttpProtocol(HttpToolsProtocol):
    """Parses a request with an Upgrade header again without it: every client of the JDK offers h2c."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = Parser(self)
        self.rest: Any = None
        """The bytes after an Upgrade request. A view: thousands in one read must not each copy the rest."""
        self.held = 0
        """Bytes since the last complete headers or the last part of a body: all that the parser may hold."""
        self.in_head = True
        self.running: RequestResponseCycle | None = None
        """The request that is being answered, or was last. uvicorn's `cycle` is the request read last."""
        self.refused = False
        """Whether the input was not valid HTTP, so that the end of the request is unknown."""

    def client_may_send(self) -> bool:
        """Whether the client may still be sending bytes that will not be read."""
        return self.refused or (self.cycle is not None and self.cycle.more_body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.held += len(data)
        super().data_received(data)
        while self.rest is not None:
            rest, self.rest = self.rest, None
            head = self.head_without_upgrade()
            self.parser = Parser(self)
            super().data_received(head)
            super().data_received(rest)
        if self.held <= MAX_HEAD or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.send_400_response("The headers are too large.")
        else:  # an answer is being sent, or another request is to be answered first
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Sends 400, but not before the answers to earlier requests and not into a started answer."""
        self.refused = True
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        elif not self.cycle.more_body:  # the invalid bytes follow the last request
            self.cycle.keep_alive = False
        elif self.cycle is self.running and not self.cycle.response_started:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            super().send_400_response(msg)
        else:
            self.transport.close()

    def head_without_upgrade(self) -> bytes:
        """The head of the request read last, without the Upgrade header."""
        headers = (b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(headers))

    def on_message_begin(self) -> None:
        self.in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # ignore trailers: no handler uses them
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.held = 0
        hosts = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            # the parser checks this only after the request has started to run
            elif name == b"transfer-encoding" and value.rstrip(b" ").lower() != b"chunked":
                raise ValueError("a transfer encoding other than chunked")
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            raise ValueError("expected one Host header")  # RFC 9112, section 3.2
        if not has_ignored_upgrade(self.parser):
            super().on_headers_complete()
            self.update_reading()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self.update_reading()

    def update_reading(self) -> None:
        """Continues to read while a request runs. Otherwise a disconnect would not be detected."""
        buffered = sum(len(cycle.body) for cycle, _ in self.pipeline) if self.pipeline else 0
        if len(self.pipeline) > MAX_PIPELINED or buffered > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        if not has_ignored_upgrade(self.parser):
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self.held = 0
        super().on_body(body)
