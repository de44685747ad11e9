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
SMALL = 512 * 1024
"""Bytes up to which a share is small, and has room that no other gets."""


class OverBudget(Refusal):
    """There is no room now: 503 with Retry-After."""

    def __init__(self) -> None:
        super().__init__("server-busy", "the server holds as many bytes of requests and answers as it may")


class CutOff(Exception):
    """An answer ends before its announced length: its memory was taken back while its client had stalled."""


class Room:
    """So many bytes, and how many of them are held."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Share:
    """Bytes that are reserved until `release`, or until the end of its `with` block."""

    __slots__ = ("_budget", "_revoke", "moved", "revoked", "room", "size")

    def __init__(self, budget: "Budget", room: Room, size: int, revoke: Callable[[], None] | None) -> None:
        self._budget = budget
        self._revoke = revoke
        self.room = room
        self.size = size
        self.moved = 0.0
        """When it last made progress, by the monotonic clock."""
        self.revoked = False

    def resize(self, size: int) -> None:
        """Reserves more, or gives some back. Raises OverBudget; the share is then as it was."""
        self._budget.resize(self, size)

    def progress(self) -> None:
        """Its client has sent or taken a part: it cannot be revoked for the next STALLED seconds."""
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
        self._budget.forget(self)
        self._budget.resize(self, 0)

    def __enter__(self) -> "Share":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Budget:
    """Counts reserved bytes against a limit. For one event loop; not for threads."""

    def __init__(self, limit: int, small: int = 0) -> None:
        """Small shares have so many bytes more to themselves."""
        self._main = Room(limit)
        self._small = Room(small)
        self._begun: dict[Share, None] = {}
        """Shares that wait for a client, the one that made progress longest ago first."""
        self._announced: dict[Share, None] = {}
        """Those whose client has not sent a part yet, the oldest first."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def limit(self) -> int:
        """Bytes that shares of any size may hold."""
        return self._main.limit

    @property
    def held(self) -> int:
        """Bytes of that which are held."""
        return self._main.held

    def reserve(self, size: int, revoke: Callable[[], None] | None = None) -> Share:
        """A share of so many bytes. Raises OverBudget.

        With `revoke` the share depends on a client. Until it has sent a part, and when it stalls for STALLED
        seconds, the share is released if another request needs the room, and `revoke` is called, which must
        drop the memory. A request larger than the whole budget is let in when nothing else is held.
        """
        share = Share(self, self._main, 0, revoke)
        self.resize(share, size)
        if revoke is not None:
            self._announced[share] = None
        return share

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
                Share(self, self._main, size, None).release()
            elif not granted:
                turn.cancel()
                self._admit()
        if not granted:
            raise OverBudget
        return Share(self, self._main, size, None)

    async def _granted(self, size: int, turn: asyncio.Future[None], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not turn.done() and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait((turn,), timeout=min(left, STALLED))
            for other in self._revocable():
                if turn.done() or self._main.held + size <= self._main.limit:
                    break
                other.revoke()
        return turn.done()

    def hold(self, size: int, revoke: Callable[[], None] | None = None) -> Share:
        """A share of what is in memory already, even beyond the limit. Nobody can refuse it any more."""
        share = Share(self, self._main, size, revoke)
        self._main.held += size
        if revoke is not None:
            self.moved(share)
        return share

    def resize(self, share: Share, size: int) -> None:
        """Changes how much a share holds. Raises OverBudget; the share is then as it was."""
        room = self._room_for(share, size) if size > share.size else share.room
        share.room.held -= share.size
        room.held += size
        share.room, share.size = room, size
        if self._waiting:
            self._admit()

    def _room_for(self, share: Share, size: int) -> Room:
        """Where that many bytes fit; revokes others until they do. Raises OverBudget."""
        rooms = (self._small, self._main) if size <= SMALL else (self._main,)

        def held(room: Room) -> int:
            return room.held - (share.size if share.room is room else 0)

        def fitting() -> Room | None:
            return next((room for room in rooms if held(room) + size <= room.limit), None)

        if room := fitting():
            return room
        for other in self._revocable():
            if other is not share and other.room in rooms:
                other.revoke()
                if room := fitting():
                    return room
        if held(self._main):
            raise OverBudget
        return self._main

    def _revocable(self) -> list[Share]:
        """Those that stalled, and those of which nothing has come, the oldest first."""
        latest = time.monotonic() - STALLED
        return [*(share for share in self._begun if share.moved <= latest), *self._announced]

    def moved(self, share: Share) -> None:
        """Notes that a revocable share made progress."""
        share.moved = time.monotonic()
        self.forget(share)
        self._begun[share] = None

    def forget(self, share: Share) -> None:
        """Notes that a share cannot be revoked any more."""
        self._begun.pop(share, None)
        self._announced.pop(share, None)

    def _admit(self) -> None:
        """Gives room to those that wait for it, in turn."""
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if self._main.held and self._main.held + size > self._main.limit:
                    return
                self._main.held += size
                turn.set_result(None)
            self._waiting.popleft()
