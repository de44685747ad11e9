"""A receiver of webhooks on loopback, whose answers a test decides. It keeps what it got."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import msgspec

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Received(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


def status(code: int, *headers: str) -> bytes:
    """An answer with this status."""
    return "\r\n".join([f"HTTP/1.1 {code} X", "content-length: 2", *headers, "", "ok"]).encode()


async def hang(writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.sleep(3600)


class Receiver:
    """Answers each path with what `answers` has for it, in turn and the last one for ever; else 204."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, list[bytes | Answer]] = {}
        self.received: list[Received] = []
        self._handlers: set[asyncio.Task[Any]] = set()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [each for each in self.received if each.path == path]

    @property
    def ids(self) -> Counter[str]:
        return Counter(each.id for each in self.received)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
            body = await reader.readexactly(int(headers["content-length"]))
            path = line.split()[1]
            self.received.append(Received(path, headers, body))
            answers = self.answers.get(path, [b"HTTP/1.1 204 X\r\n\r\n"])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        writer.close()

    def close(self) -> None:
        for task in self._handlers:
            task.cancel()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """The receiver, until the end of the block."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0, backlog=1024)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.close()
        server.close()
