"""Room: bounds how many inputs of a batch are in the queue at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """A number of places. Those who wait get theirs in their order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, count: int) -> AsyncIterator[None]:
        """Waits for so many places, or if there are never so many, for all."""
        count = min(count, self._most)
        if self._waiting or self._used + count > self._most:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((count, place))
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._give(count)
                raise
        else:
            self._used += count
        try:
            yield
        finally:
            self._give(count)

    def _give(self, count: int) -> None:
        self._used -= count
        while self._waiting:
            wanted, place = self._waiting[0]
            if place.cancelled():
                self._waiting.popleft()
            elif self._used + wanted <= self._most:
                self._waiting.popleft()
                self._used += wanted
                place.set_result(None)
            else:
                return
