"""PendingRows: rows that an engine with continuous batching has not answered. They are answered in any order.

The engine reports each row that it begins to compute (`Joined`), and that it is alive. So a row that waits in
it is not blamed if it dies, and it hangs if it reports nothing about a row that has joined.
"""

import asyncio
import math
import time
from collections.abc import Callable

from worker.engine.protocol import (
    Joined,
    Partial,
    Raised,
    Ran,
    Reply,
    Run,
    Withdrawn,
    encode,
    new_request_id,
)
from worker.supervisor.pending import EngineDied

OnReply = Callable[[int, Reply | EngineDied], object]
"""Gets a row's request id, and a reply to it."""


class PendingRows:
    """The unanswered rows of one engine. `on_silent` gets the seconds for which it reported nothing."""

    def __init__(self, on_silent: Callable[[float], None]) -> None:
        self.on_reply: OnReply = lambda _row, _reply: None
        """Gets every reply to a row; EngineDied for each unanswered row if the engine died."""
        self.patience = math.inf
        """Seconds without a report after which the engine hangs."""
        self._on_silent = on_silent
        self._joined: dict[int, bool] = {}
        """Unanswered row -> whether it has joined."""
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._joined)

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._joined

    def add(self, request: Run) -> tuple[int, bytes]:
        """Registers a row; returns the id of its request, and its frame."""
        request_id = new_request_id()
        self._joined[request_id] = False
        if len(self._joined) == 1:
            self._heard = time.monotonic()
            self._check()
        return request_id, encode(request_id, request)

    def fits(self, request_id: int, reply: Reply) -> bool:
        """Whether the reply can be one to this row."""
        match reply:
            case Joined() | Raised() | Withdrawn():
                return True
            case Partial():
                return self._joined[request_id]
            case Ran(outputs=[_]):
                return self._joined[request_id]
            case _:
                return False

    def take(self, request_id: int, reply: Reply) -> None:
        """Passes a fitting reply on."""
        if isinstance(reply, Joined):
            self._joined[request_id] = True
        if self._joined[request_id]:  # a refused input does not show that the model computes
            self._heard = time.monotonic()
        if not isinstance(reply, Joined | Partial):
            del self._joined[request_id]
            if not self._joined:
                self._stop_timer()
        self.on_reply(request_id, reply)

    def died(self, error: EngineDied) -> None:
        """Answers all rows, because the engine has died."""
        rows = list(self._joined)
        self.drop()
        for request_id in rows:
            self.on_reply(request_id, error)

    def drop(self) -> None:
        """Drops all rows without an answer."""
        self._joined.clear()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        """Checks again when the engine would hang if it reported nothing until then."""
        left = self._heard + self.patience - time.monotonic()
        if left <= 0:
            self._on_silent(self.patience)
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self._check)
