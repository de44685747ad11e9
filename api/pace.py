"""Deadlines that uvicorn's protocol lacks: for a request's headers to come, and for an answer to be taken.

A body's deadline is in `api/submission.py`. Without these a client that says nothing, or reads nothing, would
hold its connection, and the answer in memory, for ever.
"""

import asyncio
import math

import structlog

from api.protocol import Protocol

log = structlog.get_logger(__name__)

HEAD_SECONDS = 20.0
"""Seconds in which a request's headers must have come, from the connection's or their own first byte on."""
PACE = 1024
"""Bytes a second that a client must take of an answer that waits for it."""
PACE_EVERY = 30.0
"""Seconds over which this is measured; a client's system takes what it takes in lumps."""


class Paced(Protocol):
    """Hangs up on clients that are slower than that."""

    _head: asyncio.TimerHandle | None = None
    _pace: asyncio.TimerHandle | None = None
    _untaken = 0.0
    """Bytes that waited for the client when its pace was last measured."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        if self._pace is not None:
            self._pace.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()  # it may also be the rest of a body that nobody wants, which has no end
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._mind_pace()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._untaken = math.inf  # it took enough; what waits at the next look is new

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._mind_pace()

    def _mind_pace(self) -> None:
        if self._pace is None and (left := self.transport.get_write_buffer_size()):
            self._untaken = left
            self._pace = self.loop.call_later(PACE_EVERY, self._look)

    def _look(self) -> None:
        self._pace = None
        left = self.transport.get_write_buffer_size()
        if left and self._untaken - left < PACE * PACE_EVERY:
            log.info("client_too_slow", client=self.client, bytes_left=left)
            self.transport.abort()
        else:
            self._mind_pace()
