"""Caches the live workers, which are read at most once a second, and estimates the time to empty a queue.

`jobs/monitoring/roster.py` defines how a worker reports.
"""

import asyncio
import math

from jobs.errors import QueueUnavailable
from jobs.monitoring.roster import Heartbeat, Roster

FRESH = 1.0
"""Seconds for which a read of the roster is used. Heartbeats are sent once a second."""

MAX_READ = 1.0
"""Most seconds that an estimate waits for Redis."""

SERVING = frozenset({"ready", "busy"})
"""States of an engine that can run jobs."""

MIN_RETRY, MAX_RETRY, DEFAULT_RETRY = 1, 300, 30
"""Bounds of Retry-After, and its value if no rate is known, in seconds."""


class RosterCache:
    """Returns the last read of the roster while it is fresh."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._beats: list[Heartbeat] = []
        self._read_at = -math.inf

    async def workers(self, *, fresh: bool = False) -> list[Heartbeat]:
        """The live workers, oldest first. Raises QueueUnavailable."""
        now = asyncio.get_running_loop().time()
        if fresh or now - self._read_at > FRESH:
            self._beats = await self._roster.read()
            self._read_at = now
        return self._beats

    async def serves(self, model: str) -> bool:
        """Whether a worker can run the model now. Raises QueueUnavailable."""
        return any(beat.model == model and beat.engine in SERVING for beat in await self.workers())

    async def drain_seconds(self, model: str, jobs: int) -> int:
        """Estimated seconds until that many jobs are done at the live workers' rate, within the bounds."""
        try:
            async with asyncio.timeout(MAX_READ):
                beats = [beat for beat in await self.workers() if beat.model == model]
        except (QueueUnavailable, TimeoutError):
            return DEFAULT_RETRY
        rate = sum(beat.items_per_second for beat in beats)
        if rate <= 0:
            return DEFAULT_RETRY
        ended = sum(sum(beat.jobs.values()) for beat in beats)
        items_per_job = max(1.0, sum(beat.items for beat in beats) / ended) if ended else 1.0
        return max(MIN_RETRY, min(MAX_RETRY, math.ceil(jobs * items_per_job / rate)))
