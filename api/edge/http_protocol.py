"""uvicorn's HTTP/1.1 protocol, stricter about what a request is, and with ears for an offer to upgrade."""

from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD = 64 * 1024
"""Bytes of a request's headers, or of a body's trailers; what came in one read may go beyond."""
PIPELINE = 16
"""Requests that may wait for their turn on a connection before nothing more is read from it."""
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)
"""What a connection gets that is one too many."""


class Parser(httptools.HttpRequestParser):
    """Stops at a request that offers to go on in another protocol, and leaves what follows to ours."""

    def __init__(self, protocol: "HttpProtocol") -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.protocol = protocol

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if not offers(self):
                raise
            self.protocol.rest = memoryview(data)[offer.args[0] :]


def offers(parser: httptools.HttpRequestParser) -> bool:
    """Whether a request would as well be answered in HTTP/1.1; httptools leaves its body unread."""
    return parser.should_upgrade() and parser.get_method() != b"CONNECT"


class HttpProtocol(HttpToolsProtocol):
    """Reads a request that makes such an offer again without it: each client of the JDK offers h2c."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = Parser(self)
        self.rest: Any = None
        """What follows the offer; a view, for who makes thousands at once must not have each one copied."""
        self.held = 0
        """Bytes since headers were complete or a body went on: all that the parser may be holding."""
        self.in_head = True
        self.running: RequestResponseCycle | None = None
        """Whose turn it is to be answered, or was last; uvicorn's `cycle` is the one that was read last."""
        self.refused = False
        """Whether it was no HTTP, so that nobody knows where it ends."""

    def may_send(self) -> bool:
        """Whether the client may be sending something that is not read any more."""
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
            head = self.plain_head()
            self.parser = Parser(self)
            super().data_received(head)
            super().data_received(rest)
        if self.held <= MAX_HEAD or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.send_400_response("The headers are too large.")
        else:  # an answer is on its way, or another request's turn to be answered
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Not before the answers to the requests that came before, nor into the middle of one."""
        self.refused = True
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        elif not self.cycle.more_body:  # what is wrong follows the last request
            self.cycle.keep_alive = False
        elif self.cycle is self.running and not self.cycle.response_started:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            super().send_400_response(msg)
        else:
            self.transport.close()

    def plain_head(self) -> bytes:
        """The head of the request that was read last, without the offer."""
        headers = (b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(headers))

    def on_message_begin(self) -> None:
        self.in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # a trailer is no header, and nothing here asks for one
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.held = 0
        hosts = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            # the parser looks at this only after the request has begun to run
            elif name == b"transfer-encoding" and value.rstrip(b" ").lower() != b"chunked":
                raise ValueError("a transfer encoding other than chunked")
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            raise ValueError("not one host")  # RFC 9112, section 3.2
        if not offers(self.parser):
            super().on_headers_complete()
            self.listen()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self.listen()

    def listen(self) -> None:
        """Reads on while an answer is awaited, for else nobody would notice that the client has gone."""
        ahead = sum(len(cycle.body) for cycle, _ in self.pipeline) if self.pipeline else 0
        if len(self.pipeline) > PIPELINE or ahead > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        if not offers(self.parser):
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self.held = 0
        super().on_body(body)
