"""Shards: all shards of a queue, how it has grown, and which of them a job belongs to.

The number of shards is in Redis (`batchline:shards`). BATCHLINE_SHARDS raises it, and every process learns of
it within a second. It cannot be reduced.
"""

import asyncio
import hashlib
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple, TypeVar

from jobs.errors import QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.ids import MAX_SHARDS, shard_of
from jobs.ledger.shard import EMPTY, Depth, Shard
from jobs.settings import Settings
from jobs.store.lua import script
from jobs.store.store import Store

HOME = 0.05
"""Seconds after which a process submits to the next shard. Jobs that arrive at almost the same time share a
shard, and so a script; over longer times all shards get the same share."""

SETTLED = 10.0
"""Seconds after a growth at which jobs begin to use the new shards: every process knows them then."""

LEARN_EVERY = 1.0
"""Seconds between attempts to learn the number of shards."""

PATIENCE = 1.0
"""Most seconds that a shard's answer is waited for after another's."""

SPREAD = 15
"""Hex digits of a digest from which a shard is computed."""

T = TypeVar("T")


def spread(owner: str) -> str:
    """Returns the digits from which an owner's shard is computed."""
    return hashlib.sha256(owner.encode()).hexdigest()[:SPREAD]


class Growth(NamedTuple):
    """The queue got this many shards at that time, by this machine's monotonic clock."""

    number: int
    at: float


class Shards:
    """The shards of one queue. `first` also has what exists once: roster, history, growth."""

    def __init__(self, store: Store, settings: Settings, models: Iterable[str] = ()) -> None:
        self.store = store
        self.settings = settings
        self.models = tuple(models)
        self._all: list[Shard] = []
        self._growths: list[Growth] = []
        self._learned = False
        self._asked = -math.inf
        self._offset = int.from_bytes(os.urandom(2))
        self._extend(settings.shards)

    def _extend(self, number: int) -> None:
        for each in range(len(self._all), number):
            self._all.append(Shard(each, self.store, self.settings, self.models))

    @property
    def first(self) -> Shard:
        return self._all[0]

    def __iter__(self) -> Iterator[Shard]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: int) -> Shard:
        return self._all[number]

    async def of(self, job_id: str) -> tuple[Shard, ...]:
        """Returns the shards that may have the job: that of its id, then the first.

        Ids of release 0.1 and of stock arq clients name no shard; their jobs are in the first one.
        """
        await self._learn()
        number = shard_of(job_id)
        return (self._all[number], self.first) if 0 < number < len(self._all) else (self.first,)

    async def home(self) -> Shard:
        """Returns the shard for a new job: each in turn, except new ones and those that take none now.

        Before the number of shards is known, those of BATCHLINE_SHARDS are used.
        """
        await self._learn()
        now = time.monotonic()
        turn, size = int(now / HOME) + self._offset, self._settled(now)
        for step in range(size):
            shard = self._all[(turn + step) % size]
            if shard.takes_jobs:
                return shard
        return self._all[turn % size]

    async def home_of(self, owner: str) -> Shard:
        """Returns the shard for the jobs of an owner with limits: the same in every process.

        So one script sees all that the limits count. While that shard takes no jobs, it is the next one.
        """
        await self._learn()
        number, size = int(spread(owner), 16), self._settled(time.monotonic())
        for step in range(size):
            shard = self._all[(number + step) % size]
            if shard.takes_jobs:
                return shard
        return self._all[number % size]

    async def home_of_key(self, digest: str, owner: str = "") -> Shard:
        """Returns the shard for a job with an idempotency key, from the key's SHA-256 digest (hex digits).

        It is computed from the digest, or for a named owner from the owner, whether it has limits or not:
        they may change between two tries. After a growth, keys that were used before are still found where
        they are, as long as they are kept. Raises QueueUnavailable.
        """
        if not self._learned:
            await self.grow()
        now, number = time.monotonic(), int(spread(owner) if owner else digest[:SPREAD], 16)
        sizes = [1, *(growth.number for growth in self._growths)]
        ends = [growth.at + SETTLED for growth in self._growths]
        current = self._settled(now)
        home = self._all[number % current]
        for size, end in zip(sizes, ends, strict=False):
            earlier = self._all[number % size]
            if size < current and earlier is not home and now < end + self.settings.idempotency_ttl:
                async with earlier.integrity.intact():
                    if await earlier.redis.exists(earlier.key(keys.IDEMPOTENCY, digest)):
                        return earlier
        return home

    async def _learn(self) -> None:
        """Learns the number of shards, unless it is known or was asked for within the last second.

        So a process that starts while the first shard is lost serves the others.
        """
        now = time.monotonic()
        if not self._learned and now - self._asked > LEARN_EVERY:
            self._asked = now
            with suppress(QueueUnavailable):
                await self.grow()

    def _settled(self, now: float) -> int:
        """Returns the number of shards that new jobs use: those that every process knows."""
        if not self._learned:
            return len(self._all)
        return max([1, *(growth.number for growth in self._growths if growth.at + SETTLED <= now)])

    async def grow(self) -> None:
        """Raises the queue's number of shards to BATCHLINE_SHARDS, and learns its number. Once a second."""
        now, *grown = await self.first.run(script("shards"), most_shards=MAX_SHARDS)
        if self.settings.shards > max([1, *grown[::2]]):
            now, *grown = await self.first.run(
                script("grow"), number=self.settings.shards, most_shards=MAX_SHARDS
            )
        here = time.monotonic()
        self._learned = True
        pairs = sorted(zip(grown[::2], grown[1::2], strict=True))
        self._growths = [Growth(number, here - (now - at) / 1000) for number, at in pairs]
        self._extend(max([1, *grown[::2]]))

    async def each(self, work: Callable[[Shard], Awaitable[T]]) -> dict[int, T]:
        """Does the work for every shard at once; returns the answers of those that answer in time, by number.

        Shards that did not answer last are left out: the upkeep asks them again. Another one that does not
        answer is waited for no longer than PATIENCE after the first answer. Raises QueueUnavailable if none
        answers.
        """
        if len(self._all) == 1:
            return {0: await work(self.first)}

        async def answer(shard: Shard) -> T | QueueUnavailable:
            try:
                return await work(shard)
            except QueueUnavailable as error:
                return error

        asked = [shard for shard in self._all if shard.available] or self._all
        tasks = {shard.number: asyncio.create_task(answer(shard)) for shard in asked}
        try:
            await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(tasks.values(), timeout=PATIENCE)
        finally:
            late = [task for task in tasks.values() if not task.done()]
            for task in late:
                task.cancel()
        answers: dict[int, T] = {}
        failure = QueueUnavailable("no shard answers")
        for number, task in tasks.items():
            if task in late:
                self._all[number].available = False
            elif isinstance(found := task.result(), QueueUnavailable):
                failure = found
            else:
                answers[number] = found
        if not answers:
            raise failure
        return answers

    async def depth(self, *only: str) -> dict[str, Depth]:
        """Returns the unfinished jobs of all models, or of some, of the shards that can be reached."""
        found = await self.each(lambda shard: shard.depth(*only))
        return {
            model: sum((depths[model] for depths in found.values()), EMPTY) for model in only or self.models
        }

    def position(self, place: int) -> int:
        """Returns a job's position among the jobs of all shards, from its place in its own, both from 1.

        Exact with one shard. With several it is an estimate: new jobs are spread evenly over the shards.
        """
        return (place - 1) * len(self._all) + 1

    def unavailable(self) -> list[int]:
        """Returns the numbers of the shards that did not answer last."""
        return [shard.number for shard in self._all if not shard.available]
