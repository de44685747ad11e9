"""The live workers as the API sees them: the roster, read at most once a second, and estimates from it.

How a worker reports is in `jobs/monitoring/roster.py`.
"""

import asyncio
import math

from jobs.errors import QueueUnavailable
from jobs.monitoring.roster import Heartbeat, Roster

FRESH = 1.0
"""Seconds that a reading of the roster is good for; heartbeats come once a second."""

ABLE = frozenset({"ready", "busy"})
"""States of an engine that can run a job."""

SOONEST, LATEST, GUESS = 1, 300, 30
"""Bounds of Retry-After, and its value while no rate is known; seconds."""


class RosterCache:
    """Answers from the last reading while it is fresh."""

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

    async def drained_in(self, model: str, jobs: int) -> int:
        """Seconds until that many jobs are done at the live workers' rate, within bounds."""
        try:
            beats = [beat for beat in await self.workers() if beat.model == model]
        except QueueUnavailable:
            return GUESS
        rate = sum(beat.items_per_second for beat in beats)
        if rate <= 0:
            return GUESS
        ended = sum(sum(beat.jobs.values()) for beat in beats)
        items_per_job = max(1.0, sum(beat.items for beat in beats) / ended) if ended else 1.0
        return max(SOONEST, min(LATEST, math.ceil(jobs * items_per_job / rate)))
