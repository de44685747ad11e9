"""Admission: moves claimed jobs into the window, or ends them if they cannot be run."""

import asyncio
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from jobs.ledger.leasing import Claimed
from jobs.models import ModelSpec
from jobs.settings import Settings
from worker.leases.held import Unreadable
from worker.leases.leased_job import LeasedJob
from worker.leases.leases import Leases
from worker.leases.parsing import parse
from worker.scheduling import media
from worker.scheduling.window import Window

MAX_READ = 5.0
"""Most seconds to wait for the progress that an earlier worker noted."""

LARGE_PAYLOAD = 256 * 1024
"""After a payload larger than this (bytes), other loops get a turn."""


class Admission:
    """Admits the jobs of one worker. `filled` is called when the window has new items."""

    def __init__(
        self,
        settings: Settings,
        leases: Leases,
        window: Window,
        filled: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._window = window
        self._filled = filled
        self._log = log

    async def admit(self, claimed: Sequence[Claimed], spec: ModelSpec) -> list[LeasedJob]:
        """Takes over the claimed jobs of this model; returns those that can be run."""
        parsed = [parse(job, spec, self._settings.max_result_bytes) for job in claimed]
        leased = [job for job in parsed if isinstance(job, LeasedJob)]
        self._leases.add(leased)
        for job in parsed:
            if isinstance(job, Unreadable):
                self._leases.end(job, job.ending())
        if with_media := [job for job in leased if job.has_media]:
            await media.fetch(with_media, self._leases, self._log)
        for job in leased:
            if job.has_media and not self._leases.holds(job):
                continue  # dropped, because its media could not be read
            await self._admit(job)
            if job.claimed.size > LARGE_PAYLOAD:
                await asyncio.sleep(0)
        return leased

    async def _admit(self, job: LeasedJob) -> None:
        tries = self._settings.max_attempts
        if job.claimed.known:
            try:
                async with asyncio.timeout(MAX_READ):
                    spent = await self._leases.spent(job) if job.owner else (0, 0)
                    job.resume(await self._leases.noted(job), spent)
            except TimeoutError:  # its shard was lost just now; jobs of others must not wait for it
                self._leases.drop(job)
                return
        if job.claimed.attempts >= tries:
            self._window.end(
                job,
                job.abandoned("attempts-exhausted", f"its worker was lost {tries} times while the job ran"),
            )
            return
        if job.done or job.too_large:
            self._window.end(job, job.finished())
            return
        try:
            lengths = await self._window.meter.measure(job.inputs, job.parameters)
        except Exception as error:  # any tokenizer error must affect only this job
            self._window.end(job, job.failed("invalid-request", f"{type(error).__name__}: {error}"))
            return
        if not self._leases.holds(job):
            return  # cancelled or lost while it was measured
        if self._window.meter.is_exact(job.inputs):
            job.tokens = sum(lengths)
        if job.divided:
            job.lengths = list(lengths)
        job.items = job.open_items(lengths)
        self._window.batcher.add(job.items)
        self._filled()
