"""Deadlines that uvicorn's protocol lacks: for receiving a request's headers and for sending an answer.

A body's deadline is in `bodies.py`. Without these deadlines a client that sends or reads nothing would keep
its connection, and the answer in memory, for ever.
"""

import asyncio
from typing import Any, cast

import structlog

from api.edge.http_protocol import SERVICE_UNAVAILABLE, HttpProtocol
from api.edge.memory_budget import STALL_SECONDS, Share
from api.edge.outgoing import OutgoingBuffer
from api.edge.state import EdgeState

log = structlog.get_logger(__name__)

HEAD_SECONDS = 20.0
"""Seconds within which headers must be complete, from the start of the connection or their first byte."""
MIN_RATE = 1024
"""Bytes a second that a client must receive while an answer is waiting to be sent."""
RATE_PERIOD = 30.0
"""Seconds over which MIN_RATE is measured."""
MAX_CREDIT = 256 * 1024
"""Maximum bytes of credit for receiving faster than MIN_RATE: a client's system receives in bursts."""
PARTS = 64
"""Parts of an answer, each of at least 64 KiB. A client that does not receive one part in STALL_SECONDS is
disconnected if other requests need the memory."""


class DeadlineProtocol(HttpProtocol):
    """uvicorn's protocol, which also disconnects clients that miss these deadlines."""

    outgoing: OutgoingBuffer
    _unsent_share: Share | None = None
    """The share of memory of unsent bytes, once they are more than the system buffers."""
    _progress_check: asyncio.TimerHandle | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _rate_check: asyncio.TimerHandle | None = None
    _credit = 0.0
    """The credit in bytes of a client that received faster than MIN_RATE."""
    _required = 0.0
    """Bytes to be received by the next check: MIN_RATE x RATE_PERIOD, or the bytes left if fewer."""
    _had_unsent = False
    """Whether bytes were left when the keep-alive time ended."""
    _received = 0
    """Bytes that the client had received at the last check."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state: EdgeState = self.app_state["edge"]
        self.all_connections = state.connections
        self.budget = state.budget

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.outgoing = OutgoingBuffer(transport, self.client_may_send)
        super().connection_made(cast(asyncio.Transport, self.outgoing))
        self._start_head_timer()
        self.all_connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.all_connections.closed(self)
        self._stop_head_timer()
        self._release_unsent()
        if self._rate_check is not None:
            self._rate_check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.outgoing.lingering:
            self.outgoing.drop(len(data))
            return
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_head_timer()  # this also limits the rest of a refused body, which may be endless
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
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
            self.disconnect()

    def has_unsent(self) -> bool:
        return bool(self.outgoing.get_write_buffer_size())

    def disconnect(self) -> None:
        self.outgoing.disconnect()

    def refuse(self) -> None:
        self.refused = True
        self.transport.write(SERVICE_UNAVAILABLE)
        self.transport.close()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.disconnect)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_rate_check()
        if self._unsent_share is None:
            size = self.outgoing.get_write_buffer_size()
            self._unsent_share = self.budget.hold(size, self.outgoing.abort)
            self._schedule_progress_check(size, self.outgoing.unacknowledged)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._release_unsent()

    def _release_unsent(self) -> None:
        """Releases the memory: the client has received the unsent bytes, or is disconnected."""
        if self._unsent_share is not None and self._progress_check is not None:
            self._unsent_share.release()
            self._progress_check.cancel()
            self._unsent_share = None

    def _schedule_progress_check(self, size: int, left: int) -> None:
        self._progress_check = self.loop.call_later(STALL_SECONDS / 2, self._check_progress, size, left)

    def _check_progress(self, size: int, before: int) -> None:
        if self._unsent_share is not None and not self._unsent_share.revoked:
            if (left := self.outgoing.unacknowledged) <= before - max(64 * 1024, size // PARTS):
                self._unsent_share.progress()
                before = left
            self._schedule_progress_check(size, before)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.running is None or self.running.response_complete:  # else the next request is running
            self.all_connections.idle(self)
        self._start_rate_check()

    def timeout_keep_alive_handler(self) -> None:
        """Starts the keep-alive time only when the client has received the answer."""
        had_unsent = self._had_unsent
        self._had_unsent = not self.transport.is_closing() and self.outgoing.unacknowledged > 0
        if not had_unsent and not self._had_unsent:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _start_rate_check(self) -> None:
        if self._rate_check is None and (left := self.outgoing.unacknowledged):
            self._credit = 0.0
            self._schedule_rate_check(left, min(self.outgoing.written_before, self.outgoing.written - left))

    def _schedule_rate_check(self, left: int, received: int) -> None:
        self._required = min(left, MIN_RATE * RATE_PERIOD)
        self._received = received
        self._rate_check = self.loop.call_later(RATE_PERIOD, self._check_rate)

    def _check_rate(self) -> None:
        self._rate_check = None
        left = self.outgoing.unacknowledged
        received = self.outgoing.written - left
        self._credit = min(self._credit + received - self._received, MAX_CREDIT) - self._required
        if self._credit < 0:
            log.info("client too slow", client=self.client, bytes_left=left)
            self.outgoing.abort()
        elif left:
            self._schedule_rate_check(left, received)
