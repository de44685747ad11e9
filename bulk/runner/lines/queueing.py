"""Queueing: puts a group of lines into the queue as a job, and returns what is known of it at its end.

A job is never submitted twice while its first one exists, whichever process asks: its idempotency key is made
of the batch and the numbers of its lines. What is full or cannot be reached is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Protocol, TypeVar

import msgspec

from api.dialects import outcomes
from api.line_calls import Result
from bulk.runner.job_ends import JobEnds
from bulk.runner.lines.answers import Found
from bulk.runner.lines.interface import Stop
from jobs.errors import (
    IdempotencyMismatch,
    JobGone,
    JobNotFound,
    LimitExceeded,
    QueueFull,
    QueueUnavailable,
)
from jobs.ledger import limiting
from jobs.ledger.ledger import Ledger
from jobs.process.backoff import Backoff
from jobs.schema import Job, JobState, NewJob

R = TypeVar("R")

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds between attempts while Redis cannot be reached. A limit by time says itself when it ends."""
FULL_PAUSE = 0.5
"""Seconds between attempts while the queue is full, or has as many jobs of the owner as its key allows. It
has room as soon as a job ends, perhaps one of this batch."""
OF_UNFINISHED = frozenset(policy.name for policy in limiting.POLICIES if not policy.window)
"""The policies about unfinished jobs."""


class _Known(msgspec.Struct):
    """A known outcome of a job that has not ended."""

    index: int
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Any = msgspec.UNSET


_known = msgspec.json.Decoder(_Known)
_results = msgspec.json.Decoder(Result)


class Offer(Protocol):
    """A job to submit."""

    async def job(self) -> NewJob:
        """The job, for one attempt to submit it. May raise anything."""

    def accepted(self) -> None:
        """The queue has the job: it need not stay in memory."""


class Queueing:
    """Puts the jobs of one batch's chunk into the queue."""

    def __init__(self, ledger: Ledger, ends: JobEnds, owner: str, stop: Stop) -> None:
        self._ledger = ledger
        self._ends = ends
        self._owner = owner
        self._stop = stop

    async def run(self, offer: Offer, key: str) -> Found | None:
        """Runs a job with that key until its end.

        After a stop the job is cancelled, and what is known of it by then is returned; None if it was not
        submitted. Raises JobTooLarge, and what `offer` raises.
        """
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        for again in count():
            try:
                job = await self._follow(offer, f"{key}/{again}")
                if job is None:
                    return None
                found = await self._whole(job) if job.status.terminal else await self._cancelled(job)
                if found.job.status is not JobState.EXPIRED:
                    return found
            except (JobGone, JobNotFound, IdempotencyMismatch):
                pass  # another key makes a new job
            if again:
                backoff.failed()
                await self._pause(backoff.pause)
        raise AssertionError

    async def file(self, job_id: str, name: str) -> bytes | None:
        """A file of an output of a job that has ended; None if it is gone."""

        async def read() -> bytes | None:
            try:
                found = await self._ledger.attachments.file(job_id, name, sees=self._owner)
            except (JobGone, JobNotFound):
                return None
            return None if found is None else await found.read(0, found.size)

        return await self._patiently(read)

    async def _follow(self, offer: Offer, key: str) -> Job | None:
        """The job at its end, or at a stop; None if it was not accepted until a stop."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            if self._stop:
                return await self._patiently(lambda: self._submitted(key))
            try:
                job_id = await self._ledger.new_id((await offer.job()).sender, key)
                submit = partial(self._submit, offer, key, job_id)
                return await self._ends.follow(job_id, submit, self._owner, self._stop)
            except QueueUnavailable:  # it may have been accepted
                backoff.failed()
                await self._pause(backoff.pause, anyway=True)
            except QueueFull:
                await self._pause(FULL_PAUSE)
            except LimitExceeded as error:
                ends_with_jobs = error.policy in OF_UNFINISHED
                await self._pause(FULL_PAUSE if ends_with_jobs else min(error.retry_after, LONGEST_PAUSE))

    async def _submit(self, offer: Offer, key: str, job_id: str) -> Job:
        job, _ = await self._ledger.submit(
            await offer.job(), idempotency_key=key, job_id=job_id, watcher=self._ends.process
        )
        offer.accepted()
        return job

    async def _submitted(self, key: str) -> Job | None:
        """The job that was submitted with the key, perhaps by another process."""
        job_id = await self._ledger.collecting.submitted(key, self._owner)
        return None if job_id is None else await self._ledger.read(job_id, sees=self._owner)

    async def _whole(self, job: Job) -> Found:
        ended = await self._patiently(lambda: self._ledger.collecting.ended(job.id, sees=self._owner))
        if ended is None:
            raise JobGone(f"job {job.id} runs again")  # a client reused its id
        if ended.results is None:
            return Found(ended.job, ())
        return Found(ended.job, outcomes.results_of(ended.results), ended.lengths)

    async def _cancelled(self, job: Job) -> Found:
        """Cancels a job and returns its known results, or all if it has ended meanwhile."""
        results: list[Result | None] = [None] * job.counts.total
        read = 0
        while True:
            after = read
            known = await self._patiently(
                lambda after=after: self._ledger.outcomes(job.id, after, sees=self._owner)  # type: ignore[misc]
            )
            if known.known is None:
                return await self._whole(known.job)
            if not known.known:
                break
            read += len(known.known)
            for data in known.known:
                results[_known.decode(data).index] = _results.decode(data)
        ended = await self._patiently(lambda: self._ledger.cancel(job.id, sees=self._owner))
        if ended.status is not JobState.CANCELLED:
            return await self._whole(ended)
        return Found(ended, results)

    async def _patiently(self, read: Callable[[], Awaitable[R]]) -> R:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                return await read()
            except QueueUnavailable:
                backoff.failed()
                await self._pause(backoff.pause, anyway=True)

    async def _pause(self, seconds: float, *, anyway: bool = False) -> None:
        """Waits; only until a stop, unless it is for something that a stop needs too."""
        if anyway:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.event.wait(), seconds)
