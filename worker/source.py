"""Source: where a feeder's batches come from and go to, and the Result that it gives back of one."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.batcher import Item
from worker.isolation import Verdicts
from worker.leases import Batch, LeasedJob, Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a batch."""

    outcomes: Sequence[Outcome]
    tokens: int
    padded: int
    """Tokens that were run, without and with padding; 0 where nobody has counted them."""
    seconds: float
    """From when it was the running one to its answer."""
    compute_ms: float
    """Of its forward passes; those of two batches never overlap."""
    starved: float
    """Seconds that the engine had nothing to compute before it, although inputs waited."""
    counted: int = 0
    """`tokens`, where they are those of all its inputs."""


class Source(Protocol):
    """Where batches come from and go to."""

    def waiting(self) -> bool:
        """Whether there is anything to choose from."""
        ...

    def anchor(self, *, cautious: bool) -> Item[LeasedJob] | None:
        """The most urgent item of the batch that `choose` would take; None when there is none."""
        ...

    def choose(self, *, cautious: bool) -> Batch:
        """Takes the next batch, a cautious one after the engine died; empty when there is none."""
        ...

    def cost(self, batch: Batch) -> int:
        """Tokens that it has the model compute, padding and all, as far as is known."""
        ...

    def put_back(self, batch: Batch) -> None:
        """It was not run."""
        ...

    def hold(self, job: LeasedJob) -> Batch:
        """Takes out the items of a job that are not to be chosen for now; `put_back` returns them."""
        ...

    def restarting(self) -> None:
        """The engine is restarted: what is claimed meanwhile may be in the next batch."""
        ...

    def expire(self, batch: Batch) -> None:
        """It begins now: ends the jobs that should have begun before."""
        ...

    def charge(self, jobs: list[LeasedJob]) -> Awaitable[None]:
        """The first batch of these jobs begins; takes time only where one must be charged before that."""
        ...

    def settle(self, batch: Batch, result: Result) -> None:
        """It was run."""
        ...

    def fail(self, verdicts: Verdicts) -> None:
        """These items of one job have failed without being run again."""
        ...

    def spent(self, seconds: float) -> None:
        """A batch took so long and came to nothing; its items are to be run again."""
        ...
