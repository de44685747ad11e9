"""SentBatch: the feeder's record of a batch in the engine."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from jobs.media.files import link_start
from worker.leases.leased_job import Batch
from worker.scheduling.isolation import Trial
from worker.supervisor.engine import Answered


@dataclass(slots=True)
class SentBatch:
    """A batch in the engine."""

    trial: Trial
    answered: Answered
    padded: int
    """Estimated cost before it ran: tokens, padding included."""
    wanted: bool
    """Whether it was already waiting when the batch before it ended."""
    began: float | None = None
    """When it became the running batch, by the monotonic clock."""
    recalled: bool = False

    @property
    def batch(self) -> Batch:
        return self.trial.batch

    @property
    def over(self) -> bool:
        """Whether no job still needs its results."""
        return all(item.job.over for item in self.batch)


async def charging_on_error(batch: Batch, work: Coroutine[Any, Any, None]) -> None:
    """Does the work. If it raises, the jobs of the batch are charged, so they cannot return for ever."""
    try:
        await work
    except Exception:
        for item in batch:
            item.job.killed_engine = True
        raise


def inputs(batch: Batch) -> list[Any]:
    return [item.job.inputs[item.index] for item in batch]


def links(batch: Batch) -> list[str]:
    """The start of the addresses of each input's files."""
    return [link_start(item.job.id, item.index) for item in batch]
