"""A TCP proxy that injects faults: it delays, holds back, resets or cuts the data that it forwards."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 64 * 1024


class Proxy:
    """Forwards every connection to a port of this machine."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.delay = 0.0
        """Seconds by which each chunk is delayed, in either direction."""
        self.cut_after: int | None = None
        """Bytes of answers after which each new connection is reset, or None."""
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def part(self) -> None:
        """Partitions the network: forwards nothing in either direction, without closing connections."""
        self._whole.clear()

    def heal(self) -> None:
        """Ends the partition: data sent meanwhile arrives late, also from closed ends."""
        self._whole.set()

    def reset(self) -> None:
        """Resets (RST, not FIN) every connection that is open now."""
        for end in list(self._ends):
            reset(end)

    def half_close(self) -> None:
        """Sends EOF to both ends of every connection; they may still write."""
        for end in list(self._ends):
            with contextlib.suppress(OSError):
                end.write_eof()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        with contextlib.suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            self._ends.add(up_writer)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._forward(reader, up_writer, None))
                ways.create_task(self._forward(up_reader, writer, self.cut_after))
            reset(up_writer)
            self._ends.discard(up_writer)
        reset(writer)
        self._ends.discard(writer)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None
    ) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError if the end was half-closed
            while chunk := await reader.read(CHUNK):
                await asyncio.sleep(self.delay)
                await self._whole.wait()
                if left is not None:
                    chunk, left = chunk[:left], left - len(chunk)
                writer.write(chunk)
                await writer.drain()
                if left is not None and left <= 0:
                    reset(writer)
            writer.write_eof()

    def start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._accept(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        self.heal()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.reset()


def reset(end: asyncio.StreamWriter) -> None:
    """Disconnects with RST, like a peer that crashed."""
    with contextlib.suppress(OSError):
        linger_not = struct.pack("ii", 1, 0)
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    end.transport.abort()


@asynccontextmanager
async def between(upstream: int) -> AsyncIterator[Proxy]:
    """A proxy on a free port to the upstream port, during the block."""
    proxy = Proxy(upstream)
    server = await asyncio.start_server(proxy.start, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
