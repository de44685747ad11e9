"""PartialsWriter: writes the texts of running jobs to Redis as they grow, for jobs that want that.

It writes the new texts of all jobs together, at most every WRITE_EVERY seconds; BEGIN_EVERY if one of them
begins, because somebody waits for the first word. The answers themselves are written when the job ends, so
partial ones may be missing: a job gets no more of them, rather than some with a gap, if its lease is lost, if
too many wait for Redis, if they exceed the limit of a job's results, or if another program deleted or wrote
them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from redis.exceptions import ResponseError

from jobs.errors import QueueDamaged, QueueUnavailable, WritesRefused
from jobs.ledger.claims import Claims
from jobs.ledger.partials import FOREIGN, Appended, Output, Restarted, encoded
from worker.leases.held import HeldJob
from worker.leases.leased_job import LeasedJob

WRITE_EVERY = 0.03
"""Seconds between writes, for all jobs together."""

BEGIN_EVERY = 0.005
"""Seconds between writes if the text of an input begins."""

RETRY_AFTER = 1.0
"""Seconds until the next write after a failed one."""

MAX_WAITING = 256 * 1024
"""Maximum characters of a job's texts that wait for Redis."""


class _Growth:
    """New text of one input."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.texts: list[str] = []
        self.tokens = 0

    def encoded(self) -> bytes:
        return encoded(Output(self.index, "".join(self.texts), self.tokens))


class _Partials:
    """The partial answers of one job."""

    def __init__(self, job: LeasedJob) -> None:
        self.job = job
        self.length = 0
        """Length of what is in Redis; -1 if another attempt has written some."""
        self.begun = set[int]()
        """Inputs of which this attempt has some text."""
        self._unsettled = job.unsettled
        """Inputs that this attempt runs."""
        self.sending = b""
        """Lines that were sent, if it is not known whether they arrived."""
        self.waiting: list[_Growth | bytes] = []
        """What is sent next; a line of a restart as bytes."""
        self._newest: dict[int, _Growth] = {}
        self._size = 0
        """Characters that wait."""
        self.closed = False
        """Whether nothing more is written."""

    def add(self, index: int, text: str, tokens: int) -> None:
        if (growth := self._newest.get(index)) is None:
            growth = self._newest[index] = _Growth(index)
            self.waiting.append(growth)
        self.begun.add(index)
        growth.texts.append(text)
        growth.tokens = tokens
        self._size += len(text)
        if self._size > MAX_WAITING:
            self.close()

    def restart(self, index: int) -> None:
        self.begun.discard(index)
        self._newest.pop(index, None)
        self.waiting.append(encoded(Restarted(index)))

    def lines(self) -> bytes:
        """What is to be sent: after a failure the same lines, because they may have arrived."""
        if not self.sending:
            self.sending = b"".join(one if isinstance(one, bytes) else one.encoded() for one in self.waiting)
            self.waiting.clear()
            self._newest.clear()
            self._size = 0
        return self.sending

    def sent(self, answer: int, limit: int) -> None:
        """Takes the answer of `Claims.append`."""
        if answer == FOREIGN:
            void = b"".join(encoded(Restarted(index)) for index in self._unsettled)
            self.length, self.sending = -1, void + self.sending
            return
        self.length, self.sending = answer, b""
        if not 0 <= answer <= limit:
            self.close()

    def close(self) -> None:
        self.closed = True
        self.sending = b""
        self.waiting.clear()
        self._newest.clear()


class PartialsWriter:
    """The partial answers of one worker's jobs of one shard that are not in Redis yet."""

    def __init__(self, claims: Claims, holds: Callable[[LeasedJob], bool]) -> None:
        self._claims = claims
        self._holds = holds
        self._limit = claims.shard.settings.max_result_bytes
        self._jobs: dict[str, _Partials] = {}
        """By job id; only jobs that want partial answers and have some."""
        self._changed: dict[str, _Partials] = {}
        self._next = self._next_beginning = 0.0
        """Time of the event loop at which the next write may begin, and that of a text's beginning."""
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def partial(self, job: LeasedJob, index: int, text: str, tokens: int) -> None:
        """Schedules new text of an input for writing."""
        if (partials := self._of(job)) is not None:
            begins = index not in partials.begun
            partials.add(index, text, tokens)
            self._schedule(partials, begins=begins)

    def restarted(self, job: LeasedJob, index: int) -> None:
        """Reports that the text of an input begins; if it has begun before, clients are told to drop it."""
        if (partials := self._of(job)) is not None and index in partials.begun:
            partials.restart(index)
            self._schedule(partials)

    def forget(self, job: LeasedJob) -> None:
        """Forgets a job that is not held any more."""
        if job.stream:
            self._jobs.pop(job.id, None)
            self._changed.pop(job.id, None)

    async def flush(self, ending: Sequence[HeldJob]) -> None:
        """Writes what is known of jobs that are about to end, unless Redis refuses it.

        Raises QueueUnavailable if Redis cannot be reached.
        """
        ids = [job.id for job in ending if job.id in self._jobs]
        if not ids:
            return
        with contextlib.suppress(WritesRefused, QueueDamaged, ResponseError):
            await self._write()  # also waits for a write that runs
            while any(job_id in self._changed for job_id in ids):
                await self._write()

    def _of(self, job: LeasedJob) -> _Partials | None:
        if not job.stream or not self._holds(job):
            return None
        if (known := self._jobs.get(job.id)) is None:
            known = self._jobs[job.id] = _Partials(job)
        return None if known.closed else known

    def _schedule(self, partials: _Partials, *, begins: bool = False) -> None:
        self._changed[partials.job.id] = partials
        if begins:
            self._next = self._next_beginning
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._changed and self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_at(self._next, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write_changed())

    async def _write_changed(self) -> None:
        clock = asyncio.get_running_loop()
        self._next, self._next_beginning = clock.time() + WRITE_EVERY, clock.time() + BEGIN_EVERY
        try:
            await self._write()
        except (QueueUnavailable, ResponseError):  # the record will contain the whole answers
            self._next = self._next_beginning = clock.time() + RETRY_AFTER
        finally:
            self._writing = None
        self._wake()

    async def _write(self) -> None:
        """Writes once what has changed.

        Raises QueueUnavailable, or ResponseError, if Redis does not take it now; then it is sent again.
        """
        async with self._lock:
            some = [one for one in self._changed.values() if not one.closed and self._holds(one.job)]
            self._changed.clear()
            if not some:
                return
            notes = [Appended(one.job.id, one.job.claimed.token, one.length, one.lines()) for one in some]
            try:
                lengths = await self._claims.append(notes)
            except (QueueUnavailable, ResponseError):
                self._changed = {one.job.id: one for one in some if self._holds(one.job)} | self._changed
                raise
            for one, answer in zip(some, lengths, strict=True):
                one.sent(answer, self._limit)
                if (one.sending or one.waiting) and self._holds(one.job):  # newer than what was sent
                    self._schedule(one)
