"""Deadlines that uvicorn's protocol lacks: for receiving a request's headers and for sending an answer.

A body's deadline is in `bodies.py`. Without these deadlines a client that sends or reads nothing would keep
its connection, and the answer in memory, for ever.
"""

import asyncio
from typing import Any, cast

import structlog

from api.edge.http_protocol import REFUSAL, HttpProtocol
from api.edge.memory_budget import STALLED, Share
from api.edge.outgoing import OutgoingBuffer
from api.edge.state import EdgeState

log = structlog.get_logger(__name__)

HEAD_SECONDS = 20.0
"""Seconds within which headers must be complete, from the start of the connection or their first byte."""
PACE = 1024
"""Bytes a second that a client must receive while an answer is waiting to be sent."""
PACE_EVERY = 30.0
"""Seconds over which PACE is measured."""
AHEAD = 256 * 1024
"""Maximum bytes of credit for receiving faster than PACE: a client's system receives in bursts."""
PARTS = 64
"""Parts of an answer, each of at least 64 KiB. A client that does not receive one part in STALLED seconds is
disconnected if other requests need the memory."""


class DeadlineProtocol(HttpProtocol):
    """uvicorn's protocol, which also disconnects clients that miss these deadlines."""

    outgoing: OutgoingBuffer
    _unsent: Share | None = None
    """The share of memory of unsent bytes, once they are more than the system buffers."""
    _watch: asyncio.TimerHandle | None = None
    _head: asyncio.TimerHandle | None = None
    _pace: asyncio.TimerHandle | None = None
    _ahead = 0.0
    """The credit in bytes of a client that received faster than PACE."""
    _due = 0.0
    """Bytes to be received by the next check: PACE x PACE_EVERY, or the bytes left if these are fewer."""
    _late = False
    """Whether bytes were left when the keep-alive time ended."""
    _taken = 0
    """Bytes that the client had received at the last check."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state: EdgeState = self.app_state["edge"]
        self.all_connections = state.connections
        self.budget = state.budget

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.outgoing = OutgoingBuffer(transport, self.may_send)
        super().connection_made(cast(asyncio.Transport, self.outgoing))
        self._expect_head()
        self.all_connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.all_connections.closed(self)
        self._head_came()
        self._sent()
        if self._pace is not None:
            self._pace.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.outgoing.lingering:
            self.outgoing.drop(len(data))
            return
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()  # this also limits the rest of a refused body, which may be endless
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_came()
        self.outgoing.dropped = 0
        self.all_connections.busy(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:  # a refused request's body, on a connection that stays open
            self.outgoing.drop(len(body))

    def shutdown(self) -> None:
        super().shutdown()
        if self.outgoing.lingering:
            self.hang_up()

    def has_unsent(self) -> bool:
        return bool(self.outgoing.get_write_buffer_size())

    def hang_up(self) -> None:
        self.outgoing.hang_up()

    def refuse(self) -> None:
        self.refused = True
        self.transport.write(REFUSAL)
        self.transport.close()

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self.hang_up)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._mind_pace()
        if self._unsent is None:
            size = self.outgoing.get_write_buffer_size()
            self._unsent = self.budget.hold(size, self.outgoing.abort)
            self._mind_progress(size, self.outgoing.left)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._sent()

    def _sent(self) -> None:
        """Releases the memory: the client has received the unsent bytes, or is disconnected."""
        if self._unsent is not None and self._watch is not None:
            self._unsent.release()
            self._watch.cancel()
            self._unsent = None

    def _mind_progress(self, size: int, left: int) -> None:
        self._watch = self.loop.call_later(STALLED / 2, self._look_for_progress, size, left)

    def _look_for_progress(self, size: int, before: int) -> None:
        if self._unsent is not None and not self._unsent.revoked:
            if (left := self.outgoing.left) <= before - max(64 * 1024, size // PARTS):
                self._unsent.progress()
                before = left
            self._mind_progress(size, before)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.running is None or self.running.response_complete:  # else the next request is running
            self.all_connections.idle(self)
        self._mind_pace()

    def timeout_keep_alive_handler(self) -> None:
        """Starts the keep-alive time only when the client has received the answer."""
        late, self._late = self._late, not self.transport.is_closing() and self.outgoing.left > 0
        if not late and not self._late:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _mind_pace(self) -> None:
        if self._pace is None and (left := self.outgoing.left):
            self._ahead = 0.0
            self._measure(left, min(self.outgoing.before, self.outgoing.written - left))

    def _measure(self, left: int, taken: int) -> None:
        self._due = min(left, PACE * PACE_EVERY)
        self._taken = taken
        self._pace = self.loop.call_later(PACE_EVERY, self._look)

    def _look(self) -> None:
        self._pace = None
        left = self.outgoing.left
        taken = self.outgoing.written - left
        self._ahead = min(self._ahead + taken - self._taken, AHEAD) - self._due
        if self._ahead < 0:
            log.info("client too slow", client=self.client, bytes_left=left)
            self.outgoing.abort()
        elif left:
            self._measure(left, taken)
