"""EngineConnection: the worker's end of the socket to its engine; `engine.py` decodes the frames."""

import asyncio
from collections.abc import Callable
from typing import cast

from worker.engine.protocol import HEADER, MAX_FRAME


class EngineConnection(asyncio.Protocol):
    """Calls `on_frame` with each frame's id and body, and `on_lost` once when the engine's end is closed.

    `awaits` returns whether an answer with that id may come now. For any other answer `on_protocol_error` is
    called, which must close the connection.
    """

    def __init__(
        self,
        awaits: Callable[[int], bool],
        on_frame: Callable[[int, bytes], None],
        on_protocol_error: Callable[[], None],
        on_lost: Callable[["EngineConnection"], None],
    ) -> None:
        self._awaits = awaits
        self._on_frame = on_frame
        self._on_protocol_error = on_protocol_error
        self._on_lost = on_lost
        self._received = bytearray()
        self._closed = False
        self._transport: asyncio.Transport | None = None

    def write(self, frame: bytes) -> None:
        """Sends a frame. It is dropped if the connection is lost, which `on_lost` reports."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    def close(self) -> None:
        """Closes the connection; frames already received are not read either."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while not self._closed and len(received) >= HEADER.size:
            request_id, length = HEADER.unpack_from(received)
            if length > MAX_FRAME or not self._awaits(request_id):
                self._on_protocol_error()
                return
            end = HEADER.size + length
            if len(received) < end:
                return
            body = bytes(memoryview(received)[HEADER.size : end])
            del received[:end]
            self._on_frame(request_id, body)

    def connection_lost(self, error: Exception | None) -> None:
        self._on_lost(self)
