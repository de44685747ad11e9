"""A small web server on loopback whose answers a test decides, also wrong ones."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Web:
    """Answers each path with what `answers` has for it: bytes as they are, or a function that writes them."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, bytes | Answer] = {}
        self.requests: list[str] = []
        """The request line and the host of each request."""
        self.headers: dict[str, str] = {}
        """The headers of the latest one."""
        self.open = 0
        self.most_open = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.strip().split("\r\n")
            self.headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
            self.requests.append(f"{line}, host: {self.headers['host']}")
            answer = self.answers.get(line.split()[1], ok(b"hello"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        self.open -= 1
        writer.close()


def ok(body: bytes, *more: str, length: int | None = None) -> bytes:
    """An answer with this body, and perhaps a wrong length."""
    head = ["HTTP/1.1 200 OK", f"content-length: {len(body) if length is None else length}", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """The server, until the end of the block."""
    web = Web()
    server = await asyncio.start_server(web.handle, "127.0.0.1", 0, ssl=context)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
