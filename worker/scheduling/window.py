"""Window: a worker's claimed items; forms batches from them and applies the outcomes to their jobs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.ledger.leasing import Ending
from worker.batching.batcher import Batcher
from worker.batching.flows import Item
from worker.batching.lengths import LengthMeter
from worker.engine.protocol import OutputFile
from worker.leases.held import Outcome
from worker.leases.leased_job import Batch, LeasedJob
from worker.leases.leases import Leases
from worker.scheduling.isolation import Verdicts
from worker.statistics import WorkerStatistics

OnPartial = Callable[[Item[LeasedJob], str, int], object]
"""Gets an item, the new text of its answer, and how many tokens it has by now. If the engine died, the item
starts again: the number is then lower than before."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch."""

    outcomes: Sequence[Outcome]
    tokens: int
    padded: int
    """`tokens` and `padded` count the tokens that were run, without and with padding; 0 if not counted."""
    seconds: float
    """From when it became the running batch to its answer."""
    compute_ms: float
    """Time of its forward passes; those of two batches never overlap."""
    starved: float
    """Seconds before it in which the engine had nothing to compute although inputs waited."""
    counted: int = 0
    """`tokens` if they cover all its inputs, otherwise 0."""
    files: Mapping[int, Sequence[OutputFile]] = field(default_factory=dict)
    """Files of the outputs that have some, by their place in the batch."""
    rows: float = 0.0
    """With continuous batching, the rows of the steps of its one item, on average."""


class Window:
    """Supplies a worker's feeder with batches and receives their outcomes."""

    meter: LengthMeter
    """Set once the model is loaded."""

    def __init__(
        self,
        batcher: Batcher[LeasedJob],
        leases: Leases,
        statistics: WorkerStatistics,
        claim_due: asyncio.Event,
    ) -> None:
        self.batcher = batcher
        self.leases = leases
        self.statistics = statistics
        self.claim_due = claim_due
        """Set when a claim is due: a batch was chosen and may have left room in the window."""
        self.on_partial: OnPartial = lambda _item, _text, _tokens: None
        """Gets the partial answers of jobs that want them, with continuous batching."""
        self.on_begun: Callable[[Item[LeasedJob]], object] = lambda _item: None
        """Gets the items of such jobs when their answers begin, or begin again."""

    def waiting(self) -> bool:
        """Whether there are items to choose from."""
        return len(self.batcher) > 0

    def anchor(self, *, cautious: bool) -> Item[LeasedJob] | None:
        """Returns the most urgent item of the batch that `choose` would take; None if there is none."""
        return self.batcher.anchor(cautious=cautious)

    def choose(self, *, cautious: bool) -> Batch:
        """Takes the next batch, without items that have expired in the window."""
        self.claim_due.set()
        while batch := self.batcher.next_batch(cautious=cautious):
            self.expire(batch)
            if in_time := [item for item in batch if not item.job.over]:
                return in_time
        return []

    def head(self, *, cautious: bool) -> Item[LeasedJob] | None:
        """Returns the item that `take` would take, without those that have expired in the window."""
        while item := self.batcher.anchor(cautious=cautious):
            self.expire([item])
            if not item.job.over:
                return item
            self.batcher.discard([item])
        return None

    def take(self, *, cautious: bool) -> Item[LeasedJob] | None:
        """Takes the next item, whatever its parameters, without items that have expired in the window."""
        self.claim_due.set()
        while item := self.batcher.next_item(cautious=cautious):
            self.expire([item])
            if not item.job.over:
                return item
        return None

    def cost(self, batch: Batch) -> int:
        """Returns the estimated tokens that the model computes for the batch, padding included."""
        return self.batcher.cost(batch)

    def expire(self, batch: Batch) -> None:
        """Ends the jobs of the batch whose start deadline has passed."""
        self.claim_due.set()
        for job in dict.fromkeys(item.job for item in batch):
            if job.overdue:
                self.end(job, job.expired())

    def put_back(self, batch: Batch) -> None:
        """Returns items to the window, except those of jobs that have ended or were lost."""
        self.batcher.add(item for item in batch if self.leases.holds(item.job) and not item.job.over)

    def hold(self, job: LeasedJob) -> Batch:
        """Takes a job's waiting items out of the window; `put_back` returns them."""
        held = [item for item in job.items if item.waiting]
        self.batcher.discard(held)
        return held

    def restarting(self) -> None:
        """Allows a claim while the engine restarts, so that new jobs can join the next batch."""
        self.claim_due.set()

    async def charge(self, jobs: list[LeasedJob]) -> None:
        """Charges an attempt to jobs whose first batch starts; waits only if the charge must come first."""
        await self.leases.start(jobs)

    def settle(self, batch: Batch, result: BatchResult) -> None:
        """Applies a batch's outcomes; jobs with all their outcomes are queued for writing back."""
        for place, (item, outcome) in enumerate(zip(batch, result.outcomes, strict=True)):
            item.job.settle(item.index, outcome, result.files.get(place, ()))
        if result.counted and self.meter.estimates:
            inputs = [item.job.inputs[item.index] for item in batch]
            self.meter.adjust(inputs, batch[0].job.parameters, result.counted)
        size = result.rows or len(batch)
        self.statistics.ran(
            len(batch), result.tokens, result.padded, result.seconds, result.starved, len(batch) / size
        )
        jobs = {item.job.id: item.job for item in batch}.values()
        if self.leases.traces:
            self.leases.traces.batch(jobs, round(size), result.tokens, result.padded, result.seconds)
        if any(job.owner or job.divided for job in jobs):
            _charge(batch, result)
        for job in jobs:
            shared = len(jobs) > 1
            job.ran_in(size, result.tokens, result.padded, result.compute_ms, shared=shared)
            self._end_if_done(job)

    def fail(self, verdicts: Verdicts) -> None:
        """Fails inputs of one job that were not run again."""
        for item, failure in verdicts:
            item.job.settle(item.index, failure)
        self._end_if_done(verdicts[0][0].job)

    def spent(self, seconds: float) -> None:
        """Counts the time of a batch without a result; its items are run again."""
        self.statistics.beat.compute_seconds += seconds

    def _end_if_done(self, job: LeasedJob) -> None:
        if not self.leases.holds(job) or job.over:
            return
        if job.done or job.too_large:
            self.end(job, job.finished())
        else:
            self.leases.changed(job)

    def end(self, job: LeasedJob, ending: Ending) -> None:
        if not job.over:  # a job may have ended while its other inputs were in the prepared batch
            job.over = True
            self.discard(job)
            self.leases.end(job, ending)

    def discard(self, job: LeasedJob) -> None:
        """Takes a job out of the window for good."""
        self.batcher.discard(job.items)
        job.items = []  # they refer to the job: only a garbage collection would free it and its media


def _charge(batch: Batch, result: BatchResult) -> None:
    """Divides what a batch used among its jobs, in proportion to the lengths of their inputs."""
    whole = sum(item.length for item in batch)
    for item in batch:
        share = item.length / whole if whole else 1 / len(batch)
        item.job.charge(share, result.tokens, result.seconds)
