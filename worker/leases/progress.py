"""ProgressWriter: notes the outcomes of running jobs in Redis, so that clients see them before the job ends.

Only jobs that take several micro-batches and longer than FIRST_AFTER are noted; the others cost nothing.
Noted outcomes are final. If the worker is lost, the next one continues from them (docs/decisions/028).
"""

import asyncio
import contextlib
from collections.abc import Callable

from redis.exceptions import ResponseError

from jobs.errors import QueueUnavailable
from jobs.ledger.claims import Claims
from jobs.ledger.leasing import Progress
from worker.leases.files import write_files
from worker.leases.leased_job import LeasedJob

NOTE_EVERY = 0.1
"""Seconds between notes, for all jobs together."""

FIRST_AFTER = 0.25
"""Seconds from a job's start to its first note."""

MAX_NOTE_BYTES = 1024 * 1024
"""Maximum bytes of outcomes per note, because Redis serves no other client meanwhile."""


class ProgressWriter:
    """Tracks the outcomes of one worker's jobs that are not in Redis yet."""

    def __init__(self, claims: Claims, holds: Callable[[LeasedJob], bool]) -> None:
        self._claims = claims
        self._holds = holds
        self._changed: dict[str, LeasedJob] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def changed(self, job: LeasedJob) -> None:
        """Schedules a note for a job with new outcomes that has not ended."""
        self._changed[job.id] = job
        if self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(NOTE_EVERY, self._begin)

    async def flush(self) -> None:
        """Notes all known outcomes before jobs are released, unless Redis does not respond."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with contextlib.suppress(QueueUnavailable, ResponseError):
            while self._changed:
                await self._write(early=True)
        self._changed.clear()

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write_once())

    async def _write_once(self) -> None:
        try:
            with contextlib.suppress(QueueUnavailable, ResponseError):  # the record will contain them
                await self._write()
        finally:
            self._writing = None
        if self._changed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(NOTE_EVERY, self._begin)

    async def _write(self, *, early: bool = False) -> None:
        """Writes one note of the jobs that are due, or with `early` of all.

        Raises QueueUnavailable, or ResponseError if memory is full.
        """
        async with self._lock:
            notes: list[tuple[LeasedJob, Progress]] = []
            room = MAX_NOTE_BYTES
            for job in list(self._changed.values()):
                if job.over or not self._holds(job):
                    del self._changed[job.id]
                elif room > 0 and (early or job.noted or job.running_seconds >= FIRST_AFTER):
                    progress = job.progress(room)
                    notes.append((job, progress))
                    room -= sum(map(len, progress.outcomes))
            if not notes:
                return
            if with_files := [job for job, _ in notes if job.unwritten]:
                await write_files(self._claims, with_files)
            again = await self._claims.note([progress for _, progress in notes])
            for job, progress in notes:
                job.noted = 0 if job.id in again else progress.before + len(progress.outcomes)
                if job.all_noted and self._changed.get(job.id) is job:
                    del self._changed[job.id]
