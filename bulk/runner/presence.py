"""Presence: the bulk processes that run, as they report themselves once a second."""

import asyncio
import os
import socket
from typing import NoReturn

from bulk.batches import keys
from bulk.batches.figures import ALIVE
from jobs.errors import QueueUnavailable
from jobs.ledger.shard import Shard
from jobs.store.connection import availability

EVERY = 1.0
"""Seconds between reports."""


class Presence:
    """The reports of all bulk processes, in the first shard."""

    def __init__(self, shard: Shard) -> None:
        self._redis = shard.redis
        self._key = shard.key(keys.PROCESSES)

    async def report(self) -> NoReturn:
        """Reports this process until it is cancelled."""
        name = f"{socket.gethostname()} {os.getpid()}"
        while True:
            try:
                async with availability():
                    now = await self._now()
                    async with self._redis.pipeline(transaction=False) as pipe:
                        pipe.zadd(self._key, {name: now})
                        pipe.zremrangebyscore(self._key, "-inf", now - 6 * ALIVE)
                        pipe.expire(self._key, int(6 * ALIVE))
                        await pipe.execute()
            except QueueUnavailable:  # the runner logs it
                pass
            await asyncio.sleep(EVERY)

    async def hosts(self) -> list[str]:
        """Returns the host of each live process. Raises QueueUnavailable."""
        async with availability():
            now = await self._now()
            found = await self._redis.zrangebyscore(self._key, now - ALIVE, "+inf")
        return [name.decode().rpartition(" ")[0] for name in found]

    async def _now(self) -> float:
        seconds, microseconds = await self._redis.time()
        now: float = seconds + microseconds / 1e6
        return now
