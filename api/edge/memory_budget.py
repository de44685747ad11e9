"""The process's budget of memory: bytes of request bodies and answers that it may hold at once.

It only counts. What a body or an answer costs is estimated by whoever reserves.
Why it works this way is in docs/decisions/019-a-budget-of-memory.md.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from api.problems.problem import Refusal

STALLED = 2.0
"""Seconds without progress after which a share may be taken back when another request needs the room."""


class OverBudget(Refusal):
    """There is no room now: 503 with Retry-After."""

    def __init__(self) -> None:
        super().__init__("server-busy", "the server holds as many bytes of requests and answers as it may")


class CutOff(Exception):
    """An answer ends before its announced length: its memory was taken back while its client had stalled."""


class Share:
    """Bytes that are reserved until `release`, or until the end of its `with` block."""

    __slots__ = ("_budget", "_revoke", "moved", "revoked", "size")

    def __init__(self, budget: "Budget", size: int, revoke: Callable[[], None] | None) -> None:
        self._budget = budget
        self._revoke = revoke
        self.size = size
        self.moved = 0.0
        """When it last made progress, by the monotonic clock."""
        self.revoked = False

    def resize(self, size: int) -> None:
        """Reserves more, or gives some back. Raises OverBudget; the share is then as it was."""
        if size > self.size:
            self._budget.make_room(size - self.size, self)
        self._budget.change(size - self.size)
        self.size = size

    def progress(self) -> None:
        """Its client has sent or taken something: it cannot be revoked for the next STALLED seconds."""
        if self._revoke is not None:
            self._budget.moved(self)

    def settle(self) -> None:
        """From now on it does not depend on its client, and cannot be revoked."""
        self._revoke = None
        self._budget.forget(self)

    def revoke(self) -> None:
        """Takes it back: its owner is told, and must let go of the memory at once."""
        revoke, self._revoke, self.revoked = self._revoke, None, True
        self.release()
        if revoke is not None:
            revoke()

    def release(self) -> None:
        """Gives all back; again is harmless."""
        size, self.size = self.size, 0
        self._budget.forget(self)
        self._budget.change(-size)

    def __enter__(self) -> "Share":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Budget:
    """Counts reserved bytes against a limit. For one event loop; not for threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._revocable: dict[Share, None] = {}
        """Shares that wait for a client, the one that made progress longest ago first."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def reserve(self, size: int, revoke: Callable[[], None] | None = None) -> Share:
        """A share of so many bytes. Raises OverBudget.

        With `revoke` the share depends on a client. When the client stalls for STALLED seconds and another
        request needs the room, the share is released and `revoke` is called, which must drop the memory.
        A request larger than the whole budget is let in when nothing else is held.
        """
        self.make_room(size)
        return self.hold(size, revoke)

    async def acquire(self, size: int, seconds: float) -> Share:
        """As `reserve`, but waits so many seconds for room, in turn with others that wait."""
        try:
            if not self._waiting:
                return self.reserve(size)
        except OverBudget:
            pass
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        granted = False
        try:
            granted = await self._granted(size, turn, seconds)
        finally:
            if not granted and turn.done():  # cancelled after the room was given
                self.change(-size)
            elif not granted:
                turn.cancel()
                self._admit()
        if not granted:
            raise OverBudget
        return Share(self, size, None)

    async def _granted(self, size: int, turn: asyncio.Future[None], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not turn.done() and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait((turn,), timeout=min(left, STALLED))
            if not turn.done():
                self._revoke_stalled(size, None)
        return turn.done()

    def hold(self, size: int, revoke: Callable[[], None] | None = None) -> Share:
        """A share of what is in memory already, even beyond the limit. Nobody can refuse it any more."""
        share = Share(self, size, revoke)
        self.held += size
        if revoke is not None:
            self.moved(share)
        return share

    def make_room(self, size: int, but: Share | None = None) -> None:
        """Revokes stalled shares until so many bytes fit. Raises OverBudget where they do not."""
        if self.held + size <= self.limit:
            return
        self._revoke_stalled(size, but)
        alone = self.held == (but.size if but else 0)
        if self.held + size > self.limit and not alone:
            raise OverBudget

    def _revoke_stalled(self, size: int, but: Share | None) -> None:
        latest = time.monotonic() - STALLED
        for share in list(self._revocable):
            if self.held + size <= self.limit or share.moved > latest:
                return
            if share is not but:
                share.revoke()

    def change(self, size: int) -> None:
        """Adds so many bytes to what is held, or takes them off."""
        self.held += size
        if size < 0 and self._waiting:
            self._admit()

    def moved(self, share: Share) -> None:
        """Notes that a revocable share made progress."""
        share.moved = time.monotonic()
        self._revocable.pop(share, None)
        self._revocable[share] = None

    def forget(self, share: Share) -> None:
        """Notes that a share cannot be revoked any more."""
        self._revocable.pop(share, None)

    def _admit(self) -> None:
        """Gives room to those that wait for it, in turn."""
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if self.held and self.held + size > self.limit:
                    return
                self.held += size
                turn.set_result(None)
            self._waiting.popleft()
