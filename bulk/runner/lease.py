"""Lease: keeps a batch for this process, and notices its cancellation and the end of its window."""

import asyncio

import structlog

from bulk.batches.batch import BatchState
from bulk.batches.runs import LeaseLost, Runs, Taken
from bulk.runner.lines.interface import Stop
from jobs.errors import QueueUnavailable

log = structlog.get_logger(__name__)

RETRY = 0.25
"""Seconds between renewals while Redis cannot be reached."""


class Lease:
    """The lease of one batch."""

    def __init__(self, runs: Runs, taken: Taken, every: float) -> None:
        """`every`: seconds between renewals."""
        self._runs = runs
        self._taken = taken
        self._every = every
        self.stop = Stop()
        self.lost = taken.batch.lost
        """As `Batch.lost`, at the newest renewal."""

    async def keep(self) -> None:
        """Renews until the lease is lost, and returns then. Stops the batch's chunks when they must end.

        If Redis cannot be reached, no other runner can take the batch either, so the work continues.
        """
        while True:
            pause = self._every
            try:
                held = await self._runs.renew(self._taken)
            except LeaseLost:
                return
            except QueueUnavailable:
                pause = RETRY
            else:
                self.lost = held.lost
                if held.status is BatchState.CANCELLING:
                    self.stop.set("cancelled")
                elif held.left <= 0:
                    self.stop.set("expired")
                else:
                    pause = min(pause, held.left)
            await asyncio.sleep(pause)
