"""Room: bounds how many inputs of a batch are in the queue at once, so that none waits there for long.

A low job that has waited for longer than `head_start` comes before new normal requests. So a batch for a slow
model has fewer inputs in the queue than one for a fast model.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SHRINK = 0.75
"""Part of the places that is left when a job has waited for too long."""


class Room:
    """A number of places. Those who wait get theirs in their order."""

    def __init__(self, least: int, most: int, step: int, patience: float) -> None:
        """It has `least` to `most` places: `step` more while jobs wait for less than `patience` seconds."""
        self._least = min(least, most)
        self._limit = most
        self._step = step
        self._most = min(2 * least, most)
        self._patience = patience
        self._changed = 0.0
        """When it had another number of places, by the monotonic clock."""
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, count: int) -> AsyncIterator[float]:
        """Waits for so many places, or if there are never so many, for all; yields when they were taken."""
        if self._waiting or not self._fits(count):
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
            yield time.monotonic()
        finally:
            self._give(count)

    def waited(self, seconds: float, since: float) -> None:
        """Adapts the number of places to how long a job waited in the queue that took its own at `since`."""
        if since < self._changed:
            return  # it met jobs of the former number
        if seconds > self._patience:
            fitting = max(self._least, int(SHRINK * self._most))
        elif self._waiting and seconds < self._patience / 2:
            fitting = min(self._limit, self._most + self._step)
        else:
            return
        if fitting != self._most:
            self._most, self._changed = fitting, time.monotonic()
            self._give(0)

    def _fits(self, count: int) -> bool:
        return self._used == 0 or self._used + count <= self._most

    def _give(self, count: int) -> None:
        self._used -= count
        while self._waiting:
            wanted, place = self._waiting[0]
            if place.cancelled():
                self._waiting.popleft()
            elif self._fits(wanted):
                self._waiting.popleft()
                self._used += wanted
                place.set_result(None)
            else:
                return
