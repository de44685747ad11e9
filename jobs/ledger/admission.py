"""Admission: the limits of a queue, of which each shard enforces what the other shards leave.

A script sees only its own shard. With one shard its limits are exact. With several, a process knows the other
shards from its own submits and from a count at most COUNT_EVERY old. What it is sending to them counts as
accepted, so one process never exceeds the limits; several may by what the others submit meanwhile.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from jobs.errors import QueueUnavailable
from jobs.ledger.shard import Shard
from jobs.ledger.shards import PATIENCE, Shards

COUNT_EVERY = 1.0
"""Seconds for which a count of all shards is used."""


class Used(NamedTuple):
    """A model's unfinished jobs in one shard, the bytes of their payloads, and their inputs."""

    jobs: int
    bytes: int
    inputs: int

    def __add__(self, other: "Used") -> "Used":  # type: ignore[override]
        return Used(self.jobs + other.jobs, self.bytes + other.bytes, self.inputs + other.inputs)

    def __sub__(self, other: "Used") -> "Used":
        return Used(self.jobs - other.jobs, self.bytes - other.bytes, self.inputs - other.inputs)

    def named(self, what: str) -> dict[str, int]:
        """Returns the numbers as arguments of a script."""
        return {f"{what}_{name}": number for name, number in zip(self._fields, self, strict=True)}


NONE = Used(0, 0, 0)


class Room(NamedTuple):
    """What a shard may hold of a model."""

    most: Used
    """What the other shards leave of the queue's limits."""
    part: Used
    """The shard's equal part of them, of which each owner has its own part (`has_part` in submit.lua)."""


class Admission:
    """The limits for the submits of one process."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._used: dict[tuple[str, int], Used] = {}
        self._learned: dict[tuple[str, int], float] = {}
        """Times of the newest answers, by the monotonic clock."""
        self._sending: dict[tuple[str, int], Used] = {}
        self._counted: dict[str, float] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def limits(self, model: str, shard: Shard, sent: Used) -> AsyncIterator[Room]:
        """What the shard may hold of the model, while so much is sent to it."""
        settings, shards = self._shards.settings, len(self._shards)
        most = Used(settings.max_queued_jobs, settings.max_queued_bytes, settings.max_queued_inputs)
        if shards == 1:
            yield Room(most, most)
            return
        async with self._locks[model]:
            if time.monotonic() - self._counted.get(model, -COUNT_EVERY) >= COUNT_EVERY:
                await self._count(model)
        others, place = self._others(model, shard), (model, shard.number)
        self._sending[place] = self._sending.get(place, NONE) + sent
        try:
            yield Room(most - others, Used(*(limit // shards for limit in most)))
        finally:
            self._sending[place] -= sent

    def learn(self, model: str, shard: Shard, used: Used) -> None:
        """Notes what a submit found in its shard."""
        self._used[model, shard.number] = used
        self._learned[model, shard.number] = time.monotonic()

    def depth(self, model: str) -> int:
        """Returns the unfinished jobs of the model in all shards, as last known."""
        return sum(self._used.get((model, shard.number), NONE).jobs for shard in self._shards)

    def _others(self, model: str, shard: Shard) -> Used:
        places = [(model, each.number) for each in self._shards if each is not shard]
        return sum(
            (known.get(place, NONE) for place in places for known in (self._used, self._sending)), NONE
        )

    async def _count(self, model: str) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._shards.each(lambda shard: shard.depth(model))
        except (QueueUnavailable, TimeoutError):
            return  # the submit itself reports it
        finally:
            self._counted[model] = time.monotonic()  # also if it failed: others wait for the lock
        for number, depths in found.items():
            if self._learned.get((model, number), began) > began:
                continue  # a submit was answered since
            depth = depths[model]
            self._used[model, number] = Used(depth.unfinished, depth.bytes, depth.inputs)
