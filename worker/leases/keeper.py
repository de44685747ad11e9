"""LeaseKeeper: a worker's jobs of one shard: renews leases, writes endings back, releases the rest.

`leases.py` has the keepers of all shards.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence

from redis.exceptions import ResponseError
from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueUnavailable
from jobs.ledger.claims import Claims
from jobs.ledger.leasing import Claimed, Ending
from jobs.monitoring import traces
from jobs.schema import JobState
from worker.leases.files import write_files
from worker.leases.held import HeldJob
from worker.leases.job_log import JobLog
from worker.leases.job_traces import JobTraces
from worker.leases.leased_job import LeasedJob
from worker.leases.partials import PartialsWriter
from worker.leases.progress import ProgressWriter
from worker.leases.redis_retry import RedisRetry
from worker.statistics import WorkerStatistics

MAX_WRITE_BYTES = 16 * 1024 * 1024
"""Maximum bytes of records per write-back, because Redis serves no other client meanwhile."""

CHARGE_WAIT = 1.0
"""Longest time in seconds that a batch waits until a job returned from a lost worker is charged."""

CHARGE_AFTER = 0.02
"""Any other job is charged this many seconds after its start, unless it has ended: the ending charges it."""


class LeaseKeeper:
    """Holds every job that is claimed and not yet written back, and keeps the ledger up to date."""

    def __init__(
        self,
        claims: Claims,
        model: str,
        statistics: WorkerStatistics,
        retry: RedisRetry,
        log: FilteringBoundLogger,
        on_lost: Callable[[LeasedJob], None],
    ) -> None:
        self.claims = claims
        self.model = model
        self.statistics = statistics
        self.retry = retry
        self._log = log
        self._on_lost = on_lost
        self._job_log = JobLog(log, claims.shard.settings.log_slow)
        tracer = traces.tracer()
        self.traces = JobTraces(tracer, model, statistics.beat.id) if tracer else None
        self.progress = ProgressWriter(claims, self.holds)
        self.partials = PartialsWriter(claims, self.holds)
        self._held: dict[str, LeasedJob] = {}
        self.bytes = 0
        """Total bytes of the held jobs: of their payloads, and of the media beside them."""
        self._endings: asyncio.Queue[Ending] = asyncio.Queue()
        self._ending: dict[str, HeldJob] = {}
        """Jobs being written back, by token and id: a lease that ends because of the write is not lost."""
        self._starting: set[asyncio.Task[None]] = set()
        self._uncharged: list[LeasedJob] = []
        self._charging: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, job: HeldJob) -> bool:
        """Whether this worker still has to finish the job."""
        return self._held.get(job.id) is job

    def add(self, jobs: Sequence[LeasedJob]) -> None:
        self._job_log.claimed(jobs)
        for job in jobs:
            if (before := self._held.get(job.id)) is not None:
                self.drop(before)  # its lease ended unnoticed and was claimed again
            self._held[job.id] = job
            self.bytes += job.claimed.size

    async def start(self, jobs: Sequence[LeasedJob]) -> None:
        """Charges these jobs, which start now; in general soon, and without delaying their batch.

        A job that was running in a worker that was lost may be the cause, and may kill this worker before it
        is charged. So it is charged first, unless Redis does not respond.
        """
        self._uncharged += jobs
        if any(job.claimed.returned for job in jobs):
            if task := self._charge():
                await asyncio.wait([task], timeout=CHARGE_WAIT)
        elif self._charging is None:
            self._charging = asyncio.get_running_loop().call_later(CHARGE_AFTER, self._charge)

    def _charge(self) -> asyncio.Task[None] | None:
        """Charges jobs that have started and not ended."""
        if self._charging is not None:
            self._charging.cancel()
            self._charging = None
        claims = [job.claimed for job in self._uncharged if self.holds(job) and not job.over]
        self._uncharged.clear()
        if not claims:
            return None
        task = asyncio.create_task(self._start(claims))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return task

    async def _start(self, claims: Sequence[Claimed]) -> None:
        with contextlib.suppress(QueueUnavailable, ResponseError):  # a failed charge does no harm
            await self.claims.start(self.model, claims)

    def end(self, job: HeldJob, ending: Ending) -> None:
        """Queues an ending for writing back; the job's lease is kept until it is written."""
        self._ending[ending.token + ending.id] = job
        self._endings.put_nowait(ending)

    async def wait_until_written(self, seconds: float) -> None:
        """Waits until every ending is written back, for at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._endings.join(), seconds)

    async def write_back_forever(self) -> None:
        """Writes the queued endings back, all together, and retries through outages."""
        while True:
            endings = [await self._endings.get()]
            size = len(endings[0].results)
            while not self._endings.empty() and size < MAX_WRITE_BYTES:
                endings.append(self._endings.get_nowait())
                size += len(endings[-1].results)
            await self._write(endings)
            for ending in endings:
                job = self._ending.pop(ending.token + ending.id)
                if isinstance(job, LeasedJob) and self.holds(job):
                    self._remove(job)
                self._endings.task_done()

    async def _write(self, endings: list[Ending]) -> None:
        began = time.monotonic()
        ending_jobs = [self._ending[ending.token + ending.id] for ending in endings]
        with_files = [job for job in ending_jobs if isinstance(job, LeasedJob) and job.unwritten]
        try:
            if with_files:  # before anybody can read the records that name them
                await self.retry(write_files, self.claims, with_files, insist=True)
            refused = await self.retry(self._finish, endings, ending_jobs, insist=True)
        except ResponseError as error:  # Redis refuses one of them, it is unknown which
            about = {"job": endings[0].id} if len(endings) == 1 else {"jobs": len(endings)}
            self._log.error("results refused by Redis", **about, error=str(error))
            for ending in endings:
                job = self._ending[ending.token + ending.id]
                if len(endings) > 1:
                    await self._write([ending])
                elif ending.state is not JobState.FAILED:
                    await self._write([job.failed("result-too-large", str(error))])
            return
        if refused:
            self.statistics.beat.refused_results += len(refused)
            for job_id in sorted(refused):
                self._log.warning("late result refused", job=job_id)
        for ending in endings:
            if ending.id not in refused:
                job = self._ending[ending.token + ending.id]
                times = job.times()
                self.statistics.ended(ending.state, times)
                if ending.state is not JobState.EXPIRED:
                    self.statistics.answered(job.id, job.count, job.failures, job.now() / 1000)
                self._job_log.ended(job, ending.state, times)
                if self.traces:
                    self.traces.ended(job, ending.state, time.monotonic() - began)

    async def _finish(self, endings: Sequence[Ending], jobs: Sequence[HeldJob]) -> set[str]:
        await self.partials.flush(jobs)
        return await self.claims.finish(self.model, endings)

    async def renew_forever(self, every: float) -> None:
        """Renews all leases every `every` seconds and drops jobs whose lease is lost."""
        while True:
            await asyncio.sleep(every)
            self._job_log.log_omitted()
            held = dict(self._held)
            if not held:
                continue
            claims = [job.claimed for job in held.values()]
            lost, over = await self.retry(self.claims.renew, self.model, claims, insist=True)
            for job_id in lost | over:
                job = held[job_id]
                being_written = job.claimed.token + job_id in self._ending
                if self.holds(job) and not being_written:
                    if job_id in lost:
                        self.statistics.beat.lost_leases += 1
                        self._log.warning("lease lost", job=job_id)
                    self.drop(job)

    def drop(self, job: LeasedJob) -> None:
        """Drops a job that was cancelled or belongs to another worker now."""
        self._remove(job)
        self._on_lost(job)

    def _remove(self, job: LeasedJob) -> None:
        del self._held[job.id]
        self.partials.forget(job)
        self.bytes -= job.claimed.size

    async def release_claimed(self, jobs: Sequence[LeasedJob]) -> None:
        """Releases jobs claimed during a stop at once, so that others can run them sooner."""
        with contextlib.suppress(QueueUnavailable):  # then they are released with the rest
            await self._release_and_drop(job for job in jobs if self.holds(job))

    async def release_unfinished(self) -> None:
        """Like `release_all` for a worker that continues: jobs being written back are kept.

        Raises QueueUnavailable.
        """
        self._log_released(await self._release_and_drop(self._held.values()))

    async def release_all(self, *, uncharged: bool) -> None:
        """Returns jobs without a result to their place in the queue; `uncharged` after an orderly stop.

        A job that killed engines is charged in any case: it must not return for ever.
        """
        with contextlib.suppress(QueueUnavailable):
            self._log_released(await self._release(list(self._held.values()), uncharged=uncharged))

    async def _release_and_drop(self, jobs: Iterable[LeasedJob]) -> int:
        """Releases the jobs that are not over and drops them; returns how many were released."""
        unfinished = [job for job in jobs if not job.over]
        released = await self._release(unfinished, uncharged=True)
        for job in unfinished:
            if self.holds(job):
                self.drop(job)
        return released

    async def _release(self, jobs: Sequence[LeasedJob], *, uncharged: bool) -> int:
        charged = [job for job in jobs if job.killed_engine]
        others = [job for job in jobs if not job.killed_engine]
        if (charged or not uncharged) and (charging := self._charge()):
            await charging
        await self.progress.flush()
        for job in jobs:
            self.partials.forget(job)  # the next attempt begins again
        released = 0
        for group, free in ((others, uncharged), (charged, False)):
            if claims := [(job.claimed, 0 if job.started else job.start_by) for job in group]:
                released += await self.claims.release(self.model, claims, uncharged=free)
        return released

    def _log_released(self, jobs: int) -> None:
        if jobs:
            self._log.info("unfinished jobs released", jobs=jobs)
