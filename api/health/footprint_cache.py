"""Caches what finished jobs take in Redis' memory, which is sampled at most once in FRESH seconds."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from api.health.redis_timeout import redis_timeout
from jobs.errors import QueueUnavailable
from jobs.ledger.shards import Shards
from jobs.monitoring import footprints
from jobs.monitoring.footprints import Footprint

FRESH = 10.0
"""Seconds for which a sample is used."""


class FootprintCache:
    """Returns the last sample while it is fresh. One for each process."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._found: dict[str, Footprint] = {}
        self._read_at = -math.inf

    async def read(self) -> Mapping[str, Footprint]:
        """The footprints by model; the last known ones if Redis cannot be reached or is too slow."""
        now = asyncio.get_running_loop().time()
        if now - self._read_at > FRESH:
            self._read_at = now  # before the read: other requests do not start a second one
            try:
                async with redis_timeout():
                    self._found = await footprints.read(self._shards)
            except QueueUnavailable:
                pass
        return self._found


def free_memory(servers: Mapping[str, Mapping[str, Any] | None]) -> int | None:
    """The free bytes of all primaries, from the INFO of each; None if one has no limit or does not answer."""
    free = 0
    for info in servers.values():
        if info is None or not info.get("maxmemory"):
            return None
        free += max(0, int(info["maxmemory"]) - int(info.get("used_memory", 0)))
    return free if servers else None
