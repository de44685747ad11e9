"""SentRow: the feeder's record of a row in the engine."""

import asyncio
import time
from dataclasses import dataclass

from worker.batching.flows import Item
from worker.leases.leased_job import LeasedJob
from worker.scheduling.isolation import Trial


@dataclass(slots=True, eq=False)
class SentRow:
    """One item in the engine, alone or with the other items of its trial."""

    id: int
    """The id of its request."""
    item: Item[LeasedJob]
    trial: Trial
    behind: bool
    """Whether other rows were in the engine when it was sent."""
    began: float | None = None
    """When it joined the rows that are computed, by the monotonic clock."""
    recalled: bool = False
    seconds: float = 0.0
    """Its time limit, which starts when it joins."""
    alarm: asyncio.TimerHandle | None = None
    overdue: bool = False
    """Whether it has exceeded its time limit."""

    @property
    def running_seconds(self) -> float:
        """Seconds since it joined; 0 before."""
        return 0.0 if self.began is None else time.monotonic() - self.began

    def end(self) -> None:
        """Ends its time limit."""
        if self.alarm is not None:
            self.alarm.cancel()
