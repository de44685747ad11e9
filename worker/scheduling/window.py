"""Window: the claimed items of one worker, the batches made of them, and what outcomes do to the jobs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.ledger.leasing import Ending
from worker.batching.batcher import Batcher, Item
from worker.batching.lengths import LengthMeter
from worker.leases.held import Outcome
from worker.leases.keeper import LeaseKeeper
from worker.leases.leased_job import Batch, LeasedJob
from worker.scheduling.isolation import Verdicts
from worker.statistics import WorkerStatistics


@dataclass(frozen=True, slots=True)
class BatchResult:
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


class Window:
    """What a worker's feeder takes batches from and returns outcomes to."""

    meter: LengthMeter
    """Known once the model is loaded."""

    def __init__(
        self,
        batcher: Batcher[LeasedJob],
        keeper: LeaseKeeper,
        statistics: WorkerStatistics,
        taken: asyncio.Event,
    ) -> None:
        self.batcher = batcher
        self.keeper = keeper
        self.statistics = statistics
        self.taken = taken
        """Set when it is time for a claim, as a batch was chosen and may have left room in the window."""

    def waiting(self) -> bool:
        """Whether there is anything to choose from."""
        return len(self.batcher) > 0

    def anchor(self, *, cautious: bool) -> Item[LeasedJob] | None:
        """The most urgent item of the batch that `choose` would take; None when there is none."""
        return self.batcher.anchor(cautious=cautious)

    def choose(self, *, cautious: bool) -> Batch:
        """The next batch, less what has expired in the window."""
        self.taken.set()
        while batch := self.batcher.next_batch(cautious=cautious):
            self.expire(batch)
            if in_time := [item for item in batch if not item.job.over]:
                return in_time
        return []

    def cost(self, batch: Batch) -> int:
        """Tokens that the model computes for the batch, padding included, as far as is known."""
        return self.batcher.cost(batch)

    def expire(self, batch: Batch) -> None:
        """Ends those of its jobs that should have begun before."""
        self.taken.set()
        for item in batch:
            if item.job.overdue:
                self.end(item.job, item.job.expired())

    def put_back(self, batch: Batch) -> None:
        """Into the window, less what has ended or was lost meanwhile."""
        self.batcher.add(item for item in batch if self.keeper.holds(item.job) and not item.job.over)

    def hold(self, job: LeasedJob) -> Batch:
        """Takes out the items of a job that are not to be chosen for now; `put_back` returns them."""
        held = [item for item in job.items if item.waiting]
        self.batcher.discard(held)
        return held

    def restarting(self) -> None:
        """The engine is restarted: what is claimed meanwhile may be in the next batch."""
        self.taken.set()

    async def charge(self, jobs: list[LeasedJob]) -> None:
        """Charges an attempt to jobs whose first batch begins; waits only where that must come first."""
        await self.keeper.start(jobs)

    def settle(self, batch: Batch, result: BatchResult) -> None:
        """Each input has its outcome; jobs with all of theirs are to be written back."""
        for item, outcome in zip(batch, result.outcomes, strict=True):
            item.job.settle(item.index, outcome)
        if result.counted and self.meter.guesses:
            inputs = [item.job.inputs[item.index] for item in batch]
            self.meter.ran(inputs, batch[0].job.parameters, result.counted)
        self.statistics.ran(len(batch), result.tokens, result.padded, result.seconds, result.starved)
        jobs = {item.job.id: item.job for item in batch}.values()
        if self.keeper.traces:
            self.keeper.traces.batch(jobs, len(batch), result.tokens, result.padded, result.seconds)
        for job in jobs:
            shared = len(jobs) > 1
            job.ran_in(len(batch), result.tokens, result.padded, result.compute_ms, shared=shared)
            self._end_if_done(job)

    def fail(self, verdicts: Verdicts) -> None:
        """These inputs of one job have failed without being run again."""
        for item, failure in verdicts:
            item.job.settle(item.index, failure)
        self._end_if_done(verdicts[0][0].job)

    def spent(self, seconds: float) -> None:
        """A batch took so long without a result; its items are run again."""
        self.statistics.beat.compute_seconds += seconds

    def _end_if_done(self, job: LeasedJob) -> None:
        if not self.keeper.holds(job) or job.over:
            return
        if job.done or job.too_large:
            self.end(job, job.finished())
        else:
            self.keeper.progress.changed(job)

    def end(self, job: LeasedJob, ending: Ending) -> None:
        if not job.over:  # as one that has ended may be, with other inputs, in the batch behind
            job.over = True
            self.batcher.discard(job.items)
            self.keeper.end(job, ending)
