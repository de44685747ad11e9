"""uvicorn's HTTP/1.1 protocol, with a limit on headers, and ears for a request that offers to upgrade."""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 1024
"""Bytes of a request's headers, or of a body's trailers; what came in one read may go beyond."""


class Parser(httptools.HttpRequestParser):
    """Stops at a request that offers to go on in another protocol, and leaves what follows to ours."""

    def __init__(self, protocol: "Protocol") -> None:
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


class Protocol(HttpToolsProtocol):
    """Reads a request that makes such an offer again without it: each client of the JDK offers h2c."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = Parser(self)
        self.rest: Any = None
        """What follows the offer; a view, for who makes thousands at once must not have each one copied."""
        self.held = 0
        """Bytes since headers were complete or a body went on: all that the parser may be holding."""

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

    def plain_head(self) -> bytes:
        """The head of the request that was read last, without the offer."""
        headers = (b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(headers))

    def on_headers_complete(self) -> None:
        self.held = 0
        if not offers(self.parser):
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not offers(self.parser):
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self.held = 0
        super().on_body(body)
