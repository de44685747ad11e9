"""Supply: a worker's window as the source of its feeder's batches, and what their outcomes do to the jobs."""

import asyncio

from jobs.leasing import Ending
from worker.batcher import Batcher, Item
from worker.isolation import Verdicts
from worker.keeper import LeaseKeeper
from worker.leases import Batch, LeasedJob
from worker.lengths import LengthMeter
from worker.source import Result
from worker.vitals import Vitals


class Supply:
    """See `worker/source.py` for what the feeder asks of it."""

    meter: LengthMeter
    """Known once the model is loaded."""

    def __init__(
        self, window: Batcher[LeasedJob], keeper: LeaseKeeper, vitals: Vitals, taken: asyncio.Event
    ) -> None:
        self.window = window
        self.keeper = keeper
        self.vitals = vitals
        self.taken = taken
        """Set when it is time for a claim, as a batch was chosen and may have left room in the window."""

    def waiting(self) -> bool:
        return len(self.window) > 0

    def anchor(self, *, cautious: bool) -> Item[LeasedJob] | None:
        return self.window.anchor(cautious=cautious)

    def choose(self, *, cautious: bool) -> Batch:
        """The next batch, less what has expired in the window."""
        self.taken.set()
        while batch := self.window.next_batch(cautious=cautious):
            self.expire(batch)
            if in_time := [item for item in batch if not item.job.over]:
                return in_time
        return []

    def cost(self, batch: Batch) -> int:
        return self.window.cost(batch)

    def expire(self, batch: Batch) -> None:
        """Ends those of its jobs that should have begun before."""
        self.taken.set()
        for item in batch:
            if item.job.overdue:
                self.end(item.job, item.job.expired())

    def put_back(self, batch: Batch) -> None:
        """Into the window, less what has ended or was lost meanwhile."""
        self.window.add(item for item in batch if self.keeper.holds(item.job) and not item.job.over)

    def hold(self, job: LeasedJob) -> Batch:
        held = [item for item in job.items if item.waiting]
        self.window.discard(held)
        return held

    def restarting(self) -> None:
        self.taken.set()

    async def charge(self, jobs: list[LeasedJob]) -> None:
        await self.keeper.start(jobs)

    def settle(self, batch: Batch, result: Result) -> None:
        """Each input has its outcome; jobs with all of theirs are to be written back."""
        for item, outcome in zip(batch, result.outcomes, strict=True):
            item.job.settle(item.index, outcome)
        if result.counted and self.meter.guesses:
            inputs = [item.job.inputs[item.index] for item in batch]
            self.meter.ran(inputs, batch[0].job.parameters, result.counted)
        self.vitals.ran(len(batch), result.tokens, result.padded, result.seconds, result.starved)
        jobs = {item.job.id: item.job for item in batch}.values()
        if self.keeper.traces:
            self.keeper.traces.batch(jobs, len(batch), result.tokens, result.padded, result.seconds)
        for job in jobs:
            job.ran_in(len(batch), result.tokens, result.padded, result.compute_ms)
            self._end_if_done(job)

    def fail(self, verdicts: Verdicts) -> None:
        """These inputs of one job have failed without being run again."""
        for item, failure in verdicts:
            item.job.settle(item.index, failure)
        self._end_if_done(verdicts[0][0].job)

    def spent(self, seconds: float) -> None:
        self.vitals.beat.compute_seconds += seconds

    def _end_if_done(self, job: LeasedJob) -> None:
        if (job.done or job.too_large) and self.keeper.holds(job):
            self.end(job, job.finished())

    def end(self, job: LeasedJob, ending: Ending) -> None:
        if not job.over:  # as one that has ended may be, with other inputs, in the batch behind
            job.over = True
            self.window.discard(job.items)
            self.keeper.end(job, ending)
