"""LeaseKeeper: the jobs a worker holds: leases to renew, endings to write back, the rest to give back."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueUnavailable
from jobs.queue import SWEEP_EVERY, Ending, JobQueue
from worker.leases import LeasedJob
from worker.patience import Patience
from worker.vitals import Vitals


class LeaseKeeper:
    """Every job claimed and not yet written back, and the loops that keep it true to the ledger."""

    def __init__(
        self,
        queue: JobQueue,
        model: str,
        vitals: Vitals,
        patiently: Patience,
        log: FilteringBoundLogger,
        on_lost: Callable[[LeasedJob], None],
    ) -> None:
        self.queue = queue
        self.model = model
        self.vitals = vitals
        self._patiently = patiently
        self._log = log
        self._on_lost = on_lost
        self._held: dict[str, LeasedJob] = {}
        self._endings: asyncio.Queue[Ending] = asyncio.Queue()

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, job: LeasedJob) -> bool:
        """Whether the job is still this worker's to finish."""
        return self._held.get(job.id) is job

    def add(self, jobs: Iterable[LeasedJob]) -> None:
        self._held |= {job.id: job for job in jobs}

    def end(self, ending: Ending) -> None:
        """To be written back; the lease is kept until it is."""
        self._endings.put_nowait(ending)
        self.vitals.ended(ending.state)

    async def written(self, seconds: float) -> None:
        """Waits until every ending is written back, or `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._endings.join(), seconds)

    async def write_back_forever(self) -> None:
        """Writes endings, all that have come up at once, and insists through an outage."""
        while True:
            endings = [await self._endings.get()]
            while not self._endings.empty():
                endings.append(self._endings.get_nowait())
            refused = await self._patiently(self.queue.finish, self.model, endings, insist=True)
            if refused:
                self.vitals.beat.refused_results += len(refused)
                self._log.warning("late results refused", jobs=sorted(refused))
            for ending in endings:
                self._held.pop(ending.id, None)
                self._endings.task_done()

    async def renew_forever(self, every: float) -> None:
        """Renews all leases each `every` seconds, and forgets those that are lost."""
        while True:
            await asyncio.sleep(every)
            held = dict(self._held)
            if not held:
                continue
            claims = [job.claimed for job in held.values()]
            for job_id in await self._patiently(self.queue.renew, self.model, claims, insist=True):
                if self.holds(held[job_id]):  # else it was just written back
                    self._lose(held[job_id])

    async def sweep_forever(self) -> None:
        """Gives back what other workers lost, and ends what is overdue or aborted."""
        while True:
            given_back, expired, aborted = await self._patiently(self.queue.sweep, self.model, insist=True)
            if given_back or expired or aborted:
                self._log.info("swept", given_back=given_back, expired=expired, aborted=aborted)
            await asyncio.sleep(SWEEP_EVERY)

    def _lose(self, job: LeasedJob) -> None:
        """It was cancelled, or is another worker's by now."""
        del self._held[job.id]
        self.vitals.beat.lost_leases += 1
        self._log.warning("lease lost", job=job.id)
        self._on_lost(job)

    async def give_back(self) -> None:
        """What has no result returns to its place in the queue, uncharged."""
        unfinished = [(job.claimed, job.start_by) for job in self._held.values()]
        if unfinished:
            with contextlib.suppress(QueueUnavailable):
                given_back = await self.queue.release(self.model, unfinished)
                self._log.info("gave back unfinished jobs", jobs=given_back)
