"""SentBatch: a batch that the engine has, as the feeder follows it."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from worker.leases.leased_job import Batch
from worker.scheduling.isolation import Trial
from worker.supervisor.engine import Answered


@dataclass(slots=True)
class SentBatch:
    """A batch in the engine."""

    trial: Trial
    answered: Answered
    padded: int
    """What it was thought to cost before it ran: tokens, padding and all."""
    wanted: bool
    """Whether it waited already when the batch before it ended."""
    began: float | None = None
    """When it became the running one, by the monotonic clock."""
    recalled: bool = False

    @property
    def batch(self) -> Batch:
        return self.trial.batch

    @property
    def over(self) -> bool:
        """Whether nobody waits for it any more."""
        return all(item.job.over for item in self.batch)


async def blaming(batch: Batch, work: Coroutine[Any, Any, None]) -> None:
    """Should the work fail, its batch may be why: these jobs are charged, and must not come back for ever."""
    try:
        await work
    except Exception:
        for item in batch:
            item.job.deadly = True
        raise


def inputs(batch: Batch) -> list[Any]:
    return [item.job.inputs[item.index] for item in batch]
