"""A JSON response that encodes its headers once. Starlette's own response processes them three times."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.edge import compression


class JsonReply(Response):
    """A JSON response that caches must not store; compressed if the client accepts that."""

    def __init__(
        self, body: bytes, status: int, headers: Mapping[str, str], length: int | None = None
    ) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % (len(body) if length is None else length)),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) >= compression.MIN_SIZE:
            await self._compress(scope)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})

    async def _compress(self, scope: Scope) -> None:
        self.raw_headers.append(compression.VARY)
        if (gzip := compression.compression(scope)) is not None:
            with gzip:
                self.body = await gzip.whole(self.body)
            length = (b"content-length", b"%d" % len(self.body))
            self.raw_headers = [*encoded(self.raw_headers), length]


def encoded(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of the compressed response, without the length, which has changed."""
    return [*(header for header in headers if header[0] != b"content-length"), compression.ENCODED]
