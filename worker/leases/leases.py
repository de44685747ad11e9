"""Leases: all jobs that a worker holds. Each shard has a LeaseKeeper, so that none waits for another."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from jobs.ledger.claims import Claims
from jobs.ledger.leasing import Ending
from jobs.ledger.shards import Shards
from jobs.media.values import Stored
from worker.leases.held import HeldJob
from worker.leases.job_traces import JobTraces
from worker.leases.keeper import LeaseKeeper
from worker.leases.leased_job import LeasedJob
from worker.leases.redis_retry import RedisRetry
from worker.statistics import WorkerStatistics

GROWTH_EVERY = 1.0
"""Seconds between checks for new shards."""


class Leases:
    """The keepers of one worker."""

    def __init__(
        self,
        shards: Shards,
        model: str,
        statistics: WorkerStatistics,
        stopping: asyncio.Event,
        log: FilteringBoundLogger,
        on_lost: Callable[[LeasedJob], None],
    ) -> None:
        self._shards = shards
        self._model = model
        self._statistics = statistics
        self._stopping = stopping
        self._log = log
        self._on_lost = on_lost
        self._keepers: list[LeaseKeeper] = []
        self._extend()

    def _extend(self) -> None:
        for shard in list(self._shards)[len(self._keepers) :]:
            log = self._log if len(self._shards) == 1 else self._log.bind(shard=shard.number)
            keeper = LeaseKeeper(
                Claims(shard, self._statistics.beat.id),
                self._model,
                self._statistics,
                RedisRetry(log, self._stopping),
                log,
                on_lost=self._on_lost,
            )
            self._keepers.append(keeper)

    def _of(self, job: HeldJob) -> LeaseKeeper:
        if job.claimed.shard >= len(self._keepers):
            self._extend()
        return self._keepers[job.claimed.shard]

    def __len__(self) -> int:
        return sum(map(len, self._keepers))

    @property
    def traces(self) -> JobTraces | None:
        """The worker's traces, if tracing is on."""
        return self._keepers[0].traces

    def holds(self, job: HeldJob) -> bool:
        """Whether this worker still has to finish the job."""
        return self._of(job).holds(job)

    def add(self, jobs: Sequence[LeasedJob]) -> None:
        for keeper, some in self._by_keeper(jobs):
            keeper.add(some)

    async def noted(self, job: HeldJob) -> list[bytes]:
        """Returns the outcomes that earlier workers noted. Raises QueueUnavailable only during a stop."""
        keeper = self._of(job)
        return await keeper.retry(keeper.claims.noted, job.id)

    async def spent(self, job: HeldJob) -> tuple[int, int]:
        """Returns what earlier workers noted that it took. Raises QueueUnavailable only during a stop."""
        keeper = self._of(job)
        return await keeper.retry(keeper.claims.spent, job.id)

    async def media(
        self, shard: int, wanted: Mapping[str, Sequence[Stored]]
    ) -> dict[str, list[bytes | None]]:
        """Returns the media beside the payloads of jobs of one shard; None for one that is gone.

        Raises QueueUnavailable only during a stop.
        """
        keeper = self._keepers[shard]
        return await keeper.retry(keeper.claims.media, wanted)

    def drop(self, job: LeasedJob) -> None:
        """Drops a job that cannot be run now; it is claimed again when its lease ends."""
        self._of(job).drop(job)

    async def start(self, jobs: Sequence[LeasedJob]) -> None:
        """Charges these jobs, which start now: see LeaseKeeper."""
        for keeper, some in self._by_keeper(jobs):
            await keeper.start(some)

    def changed(self, job: LeasedJob) -> None:
        """Schedules a note of the job's progress."""
        self._of(job).progress.changed(job)

    def partial(self, job: LeasedJob, index: int, text: str, tokens: int) -> None:
        """Schedules a partial answer to an input for writing; costs no I/O here."""
        self._of(job).partials.partial(job, index, text, tokens)

    def restarted(self, job: LeasedJob, index: int) -> None:
        """Reports that the answer to an input begins; its text so far, if there is any, is void."""
        self._of(job).partials.restarted(job, index)

    def end(self, job: HeldJob, ending: Ending) -> None:
        """Queues an ending for writing back; the job's lease is kept until it is written."""
        self._of(job).end(job, ending)

    async def renew_forever(self, every: float) -> None:
        """Renews all leases every `every` seconds and drops jobs whose lease is lost."""
        await self._run_each(lambda keeper: keeper.renew_forever(every))

    async def write_back_forever(self) -> None:
        """Writes the queued endings back, and retries through outages."""
        await self._run_each(LeaseKeeper.write_back_forever)

    async def wait_until_written(self, seconds: float) -> None:
        """Waits until every ending is written back, for at most `seconds`."""
        await asyncio.gather(*(keeper.wait_until_written(seconds) for keeper in self._keepers))

    async def release_claimed(self, jobs: Sequence[LeasedJob]) -> None:
        """Releases jobs claimed during a stop at once, so that others can run them sooner."""
        await asyncio.gather(*(keeper.release_claimed(some) for keeper, some in self._by_keeper(jobs)))

    async def release_unfinished(self) -> None:
        """Releases all jobs but those being written back. Raises QueueUnavailable during a stop."""
        await asyncio.gather(*(keeper.retry(keeper.release_unfinished) for keeper in self._keepers))

    async def release_all(self, *, uncharged: bool) -> None:
        """Returns jobs without a result to their place in the queue; `uncharged` after an orderly stop."""
        await asyncio.gather(*(keeper.release_all(uncharged=uncharged) for keeper in self._keepers))

    @property
    def bytes(self) -> int:
        """Total bytes of the held jobs: of their payloads, and of the media beside them."""
        return sum(keeper.bytes for keeper in self._keepers)

    def _by_keeper(self, jobs: Sequence[LeasedJob]) -> list[tuple[LeaseKeeper, list[LeasedJob]]]:
        found: dict[int, list[LeasedJob]] = {}
        for job in jobs:
            found.setdefault(job.claimed.shard, []).append(job)
        return [(self._of(some[0]), some) for some in found.values()]

    async def _run_each(self, loop: Callable[[LeaseKeeper], Coroutine[Any, Any, None]]) -> None:
        """Runs a loop of each keeper, and of those that are added. Fails if one of them does."""
        async with asyncio.TaskGroup() as loops:
            running = 0
            while True:
                self._extend()
                for keeper in self._keepers[running:]:
                    loops.create_task(loop(keeper))
                running = len(self._keepers)
                await asyncio.sleep(GROWTH_EVERY)
