"""Bounds what a server may send before its answer begins.

httpcore reads over informational responses (1xx) for as long as they come, and those that have arrived
together without a pause: many of them would hold up everything else in the process. So a connection with more
than a few of them fails, before they are parsed.
"""

from typing import Any

import httpx

MAX_INFORMATIONAL = 8
"""Most responses of one connection, with the last one, which is the answer."""
MAX_HEAD = 128 * 1024
"""Bytes before the answer's body; h11 itself allows 100 KiB for the head of each response."""
READ = 16 * 1024
"""Most bytes that are read at once until then."""

_BOUNDED = "batchline_bounded"


class BoundedBackend:
    """An httpcore network backend whose connections are bounded."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    async def connect_tcp(self, *where: Any, **options: Any) -> "BoundedStream":
        """Connects with the other backend."""
        return BoundedStream(await self._backend.connect_tcp(*where, **options))


class BoundedStream:
    """A connection. `answered` ends its bounds."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._in_head = True
        self._responses = self._received = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Reads some bytes. Raises httpx.RemoteProtocolError above the bounds."""
        if not self._in_head:
            return await self._stream.read(max_bytes, timeout)  # type: ignore[no-any-return]
        data: bytes = await self._stream.read(min(max_bytes, READ), timeout)
        self._responses += data.count(b"HTTP/1.")
        self._received += len(data)
        if self._responses > MAX_INFORMATIONAL or self._received > MAX_HEAD:
            raise httpx.RemoteProtocolError("too much comes before the answer")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Writes all bytes."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._stream.aclose()

    async def start_tls(self, *given: Any, **options: Any) -> "BoundedStream":
        """Continues with TLS."""
        return BoundedStream(await self._stream.start_tls(*given, **options))

    def get_extra_info(self, info: str) -> Any:
        """Returns what the other backend knows, and this stream itself for `answered`."""
        return self if info == _BOUNDED else self._stream.get_extra_info(info)

    def answered(self) -> None:
        """Notes that the head of the answer is complete."""
        self._in_head = False


def answered(response: httpx.Response) -> None:
    """Ends the bounds of the response's connection: its body has others."""
    response.extensions["network_stream"].get_extra_info(_BOUNDED).answered()
