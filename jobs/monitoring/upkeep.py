"""Upkeep: what every API process and every worker does once a second for all jobs.

It learns the queue's number of shards, sweeps each shard, and adds samples to the history. So jobs expire and
leases end as long as any process is alive. That several processes do this is safe.
"""

import asyncio
import time
from typing import NoReturn

from redis.exceptions import ResponseError
from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueDamaged, QueueUnavailable
from jobs.ledger.shard import SWEEP_EVERY, Shard
from jobs.ledger.shards import Shards
from jobs.monitoring.history import History
from jobs.store.outage import Outage

HANGS = 3.0
"""Seconds after which a shard whose upkeep has not ended counts as unavailable: others are used meanwhile."""


class Upkeep:
    """The upkeep of the models that one process serves. No shard waits for another."""

    def __init__(self, shards: Shards, log: FilteringBoundLogger) -> None:
        self._shards = shards
        self._history = History(shards)
        self._log = log
        self._running: dict[int, asyncio.Task[None]] = {}
        self._began: dict[int, float] = {}
        self._outages: dict[int, Outage] = {}

    async def run(self) -> NoReturn:
        """Never returns. Logs once when a shard becomes unavailable and once when it is available again."""
        try:
            while True:
                for shard in self._shards:
                    if shard.number not in self._running or self._running[shard.number].done():
                        self._running[shard.number] = asyncio.create_task(self._keep(shard))
                        self._began[shard.number] = time.monotonic()
                    elif time.monotonic() - self._began[shard.number] > HANGS:
                        shard.available = False
                await asyncio.sleep(SWEEP_EVERY)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _keep(self, shard: Shard) -> None:
        try:
            await self._keep_one(shard)
            self._outage(shard).succeeded()
        except QueueUnavailable as error:
            self._outage(shard).failed(error)
        except Exception:  # after a bug, the upkeep must continue
            self._log.exception("upkeep failed")

    async def _keep_one(self, shard: Shard) -> None:
        for model in self._shards.models:
            try:
                swept = await shard.sweep(model)
            except QueueDamaged:  # already logged; other models are not affected
                continue
            except ResponseError:  # a job on which the script fails
                self._log.exception("sweep failed", model=model)
                continue
            if any(swept):
                given_back, expired, aborted = swept
                self._log.info(
                    "jobs swept", model=model, given_back=given_back, expired=expired, aborted=aborted
                )
        if shard is self._shards.first:  # after the sweeps, which must not depend on it
            await self._shards.grow()
            await self._history.record()

    def _outage(self, shard: Shard) -> Outage:
        if shard.number not in self._outages:
            about = {} if len(self._shards) == 1 else {"shard": shard.number}
            self._outages[shard.number] = Outage(self._log.bind(**about))
        return self._outages[shard.number]
