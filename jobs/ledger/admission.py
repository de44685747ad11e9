"""Admission: the limits of a queue, of which each shard enforces what the other shards leave.

A script sees only its own shard. With one shard its limits are exact. With several, a process knows the other
shards from its own submits and from a count at most COUNT_EVERY old; what other processes submit meanwhile
may exceed the limits by that much.
"""

import asyncio
import time
from collections import defaultdict
from typing import NamedTuple

from jobs.errors import QueueUnavailable
from jobs.ledger.shard import Shard
from jobs.ledger.shards import PATIENCE, Shards

COUNT_EVERY = 1.0
"""Seconds for which a count of all shards is used."""


class Used(NamedTuple):
    """A model's unfinished jobs in one shard, and the bytes of their payloads."""

    jobs: int
    bytes: int


NONE = Used(0, 0)


class Admission:
    """The limits for the submits of one process."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._used: dict[tuple[str, int], Used] = {}
        self._counted: dict[str, float] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def limits(self, model: str, shard: Shard) -> tuple[int, int]:
        """Returns the most jobs and bytes of the model that the shard may hold now."""
        settings = self._shards.settings
        if len(self._shards) == 1:
            return settings.max_queued_jobs, settings.max_queued_bytes
        async with self._locks[model]:
            if time.monotonic() - self._counted.get(model, -COUNT_EVERY) >= COUNT_EVERY:
                await self._count(model)
        others = self._others(model, shard)
        return settings.max_queued_jobs - others.jobs, settings.max_queued_bytes - others.bytes

    def learn(self, model: str, shard: Shard, jobs: int, size: int) -> None:
        """Notes what a submit found in its shard."""
        self._used[model, shard.number] = Used(jobs, size)

    def depth(self, model: str) -> int:
        """Returns the unfinished jobs of the model in all shards, as last known."""
        return sum(self._used.get((model, shard.number), NONE).jobs for shard in self._shards)

    def _others(self, model: str, shard: Shard) -> Used:
        used = [self._used.get((model, each.number), NONE) for each in self._shards if each is not shard]
        return Used(sum(each.jobs for each in used), sum(each.bytes for each in used))

    async def _count(self, model: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._shards.each(lambda shard: shard.depth(model))
        except (QueueUnavailable, TimeoutError):
            return  # the submit itself reports it
        finally:
            self._counted[model] = time.monotonic()  # also if it failed: others wait for the lock
        for number, depths in found.items():
            self._used[model, number] = Used(depths[model].unfinished, depths[model].bytes)
