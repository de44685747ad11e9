"""A small HTTP client that reads Server-Sent Events: one request on each connection.

httpx would need a share of a core for a thousand events a second, and the servers run on the same cores.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple


class Event(NamedTuple):
    name: str
    data: str


class Answer:
    """A status and a body, which is read as it arrives."""

    def __init__(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> None:
        self.status = status
        self._headers = headers
        self._reader = reader

    async def body(self) -> bytes:
        return b"".join([part async for part in self._parts()])

    async def events(self) -> AsyncIterator[Event]:
        """Yields the events until the server ends the stream."""
        rest = b""
        async for part in self._parts():
            *complete, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
            for block in complete:
                if event := parse(block.decode()):
                    yield event

    async def _parts(self) -> AsyncIterator[bytes]:
        if self._headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self._reader.readline()).partition(b";")[0], 16):
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)  # the end of the line
        elif "content-length" in self._headers:
            yield await self._reader.readexactly(int(self._headers["content-length"]))
        else:
            while part := await self._reader.read(2**16):
                yield part


def parse(block: str) -> Event | None:
    """Returns the event of some lines; None for comments and for an event without data."""
    name, data = "message", []
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
    return Event(name, "\n".join(data)) if data else None


@asynccontextmanager
async def request(port: int, method: str, path: str, body: bytes = b"") -> AsyncIterator[Answer]:
    """Sends a request with a JSON body, if there is one. Raises OSError or EOFError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
        writer.write(f"{head}\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        yield Answer(int(lines[0].split()[1]), headers, reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
