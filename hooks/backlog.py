"""Backlog: the ends of jobs and batches that no sender has taken from the outboxes yet.

While no sender runs the outboxes grow without a bound, because no end may be lost. Each API process warns of
that.
"""

import math
import time
from typing import NoReturn

import structlog

from jobs.ledger import keys
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.store.refreshing import keep_current

log = structlog.get_logger(__name__)

LONG = 300.0
"""Seconds after which an entry has waited for too long. A sender takes it within a second."""
LOOK_EVERY = 60.0
"""Seconds between two looks."""
WARN_EVERY = 600.0
"""Seconds between two warnings."""


class Backlog:
    """The outboxes of all shards. Its methods raise QueueUnavailable."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._warned = -math.inf

    async def read(self) -> tuple[int, int]:
        """Returns the number of entries, and the milliseconds for which the oldest has waited.

        Those of shards that cannot be reached are left out.
        """
        found = (await self._shards.each(_outbox)).values()
        return sum(length for length, _ in found), max((age for _, age in found), default=0)

    async def check(self) -> None:
        """Warns if no sender seems to run."""
        entries, oldest_ms = await self.read()
        now = time.monotonic()
        if oldest_ms > 1000 * LONG and now - self._warned >= WARN_EVERY:
            self._warned = now
            log.warning(
                "webhooks wait: no process sends them, start a bulk process or `python -m hooks`",
                entries=entries,
                oldest_seconds=oldest_ms // 1000,
            )

    async def watch(self) -> NoReturn:
        """Warns again and again. Never returns."""
        await keep_current(self.check, LOOK_EVERY, "outboxes", log, meanwhile="retrying")


async def _outbox(shard: Shard) -> tuple[int, int]:
    """The entries of a shard's outbox, and the milliseconds for which the oldest has waited."""
    name = shard.key(keys.OUTBOX)
    async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
        pipe.xlen(name)
        pipe.xrange(name, count=1)
        pipe.time()
        length, first, (seconds, microseconds) = await pipe.execute()
    if not first:
        return 0, 0
    at = int(first[0][0].partition(b"-")[0])
    return length, max(0, seconds * 1000 + microseconds // 1000 - at)
