"""The process's memory budget: maximum bytes of request bodies and answers that it holds at once.

It only counts bytes. The caller estimates the memory of a body or an answer.
The design is explained in docs/decisions/019-a-budget-of-memory.md.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType

from api.problems.problem import Refusal

STALL_SECONDS = 2.0
"""Seconds without progress after which a share may be revoked if another request needs the memory."""
MAX_SMALL = 512 * 1024
"""Maximum bytes of a small share. Small shares have a reserve that larger ones cannot use."""


class OverBudget(Refusal):
    """There is no free memory now: 503 with Retry-After."""

    def __init__(self) -> None:
        super().__init__("server-busy", "no free memory for this request or its answer now; retry later")


class CutOff(Exception):
    """An answer ends before its announced length: its memory was revoked because its client stalled."""


class Pool:
    """A limit in bytes, and how many bytes are held."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Share:
    """Bytes that are reserved until `release` or the end of the `with` block."""

    __slots__ = ("_budget", "_revoke", "last_progress", "pool", "revoked", "size")

    def __init__(self, budget: "Budget", pool: Pool, size: int, revoke: Callable[[], None] | None) -> None:
        self._budget = budget
        self._revoke = revoke
        self.pool = pool
        self.size = size
        self.last_progress = 0.0
        """When it last made progress, in monotonic seconds."""
        self.revoked = False

    def resize(self, size: int) -> None:
        """Changes the reserved bytes. Raises OverBudget; the share is then unchanged."""
        self._budget.resize(self, size)

    def progress(self) -> None:
        """Notes that the client sent or received a part. The share cannot be revoked for STALL_SECONDS."""
        if self._revoke is not None:
            self._budget.note_progress(self)

    def settle(self) -> None:
        """Makes the share irrevocable, because it no longer depends on a client."""
        self._revoke = None
        self._budget.forget(self)

    def revoke(self) -> None:
        """Releases the share and calls its owner's `revoke`, which must free the memory at once."""
        revoke, self._revoke, self.revoked = self._revoke, None, True
        self.release()
        if revoke is not None:
            revoke()

    def release(self) -> None:
        """Releases all bytes. Safe to call again."""
        self._budget.forget(self)
        if self.size:
            self._budget.resize(self, 0)

    def __enter__(self) -> "Share":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Budget:
    """Counts reserved bytes against a limit. For one event loop, not thread-safe."""

    def __init__(self, limit: int, small: int = 0) -> None:
        """`limit` is in bytes for all shares; `small` is an additional reserve in bytes for small shares."""
        self._main = Pool(limit)
        self._small = Pool(small)
        self._started: dict[Share, None] = {}
        """Revocable shares whose client has made progress, the one with the oldest progress first."""
        self._announced: dict[Share, None] = {}
        """Revocable shares whose client has not sent a part yet, the oldest first."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def limit(self) -> int:
        """Maximum bytes of shares of any size."""
        return self._main.limit

    @property
    def held(self) -> int:
        """Bytes of `limit` that are held."""
        return self._main.held

    def reserve(self, size: int, revoke: Callable[[], None] | None = None) -> Share:
        """Reserves `size` bytes and returns the share. Raises OverBudget.

        With `revoke` the share depends on a client. While the client has not sent a part, or has stalled for
        STALL_SECONDS, the share may be revoked if another request needs the memory: it is released, and
        `revoke` is called, which must free the memory. A request larger than the whole budget is accepted if
        nothing else is held.
        """
        share = Share(self, self._main, 0, revoke)
        self.resize(share, size)
        if revoke is not None:
            self._announced[share] = None
        return share

    async def acquire(self, size: int, seconds: float) -> Share:
        """As `reserve`, but waits up to `seconds` for free memory, in first-in, first-out order."""
        try:
            if not self._waiting:
                return self.reserve(size)
        except OverBudget:
            pass
        grant: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, grant))
        granted = False
        try:
            granted = await self._granted(size, grant, seconds)
        finally:
            if not granted and grant.done():  # cancelled after the memory was granted
                Share(self, self._main, size, None).release()
            elif not granted:
                grant.cancel()
                self._admit()
        if not granted:
            raise OverBudget
        return Share(self, self._main, size, None)

    async def _granted(self, size: int, grant: asyncio.Future[None], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not grant.done() and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait((grant,), timeout=min(left, STALL_SECONDS))
            for other in self._revocable():
                if grant.done() or self._main.held + size <= self._main.limit:
                    break
                other.revoke()
        return grant.done()

    def hold(self, size: int, revoke: Callable[[], None] | None = None) -> Share:
        """A share for bytes that are already in memory. It may exceed the limit: it is too late to refuse."""
        share = Share(self, self._main, size, revoke)
        self._main.held += size
        if revoke is not None:
            self.note_progress(share)
        return share

    def resize(self, share: Share, size: int) -> None:
        """Changes the reserved bytes of a share. Raises OverBudget; the share is then unchanged."""
        pool = self._pool_for(share, size) if size > share.size else share.pool
        share.pool.held -= share.size
        pool.held += size
        share.pool, share.size = pool, size
        if self._waiting:
            self._admit()

    def _pool_for(self, share: Share, size: int) -> Pool:
        """The pool that has that many bytes free. Revokes other shares if needed. Raises OverBudget."""
        pools = (self._small, self._main) if size <= MAX_SMALL else (self._main,)
        if pool := _fitting(pools, share, size):
            return pool
        for other in self._revocable():
            if other is not share and other.pool in pools:
                other.revoke()
                if pool := _fitting(pools, share, size):
                    return pool
        if self._main.held - (share.size if share.pool is self._main else 0):
            raise OverBudget
        return self._main

    def _revocable(self) -> list[Share]:
        """The stalled shares, then those whose client has sent nothing, each the oldest first."""
        latest = time.monotonic() - STALL_SECONDS
        return [*(share for share in self._started if share.last_progress <= latest), *self._announced]

    def note_progress(self, share: Share) -> None:
        """Notes that a revocable share made progress."""
        share.last_progress = time.monotonic()
        self.forget(share)
        self._started[share] = None

    def forget(self, share: Share) -> None:
        """Notes that a share can no longer be revoked."""
        self._started.pop(share, None)
        self._announced.pop(share, None)

    def _admit(self) -> None:
        """Grants free memory to waiting callers, in order."""
        while self._waiting:
            size, grant = self._waiting[0]
            if not grant.done():
                if self._main.held and self._main.held + size > self._main.limit:
                    return
                self._main.held += size
                grant.set_result(None)
            self._waiting.popleft()


def _fitting(pools: Sequence[Pool], share: Share, size: int) -> Pool | None:
    """The first pool that has room for the share with that many bytes, or None."""
    for pool in pools:
        held = pool.held - share.size if share.pool is pool else pool.held
        if held + size <= pool.limit:
            return pool
    return None
