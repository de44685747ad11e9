"""JobLog: log lines about single jobs, each with the job's id in `job`.

Every step is logged at debug level. Failed and slow jobs are logged at info, or as a warning if the inputs
are not the cause. These lines are limited per second, because thousands of jobs may end at once; the omitted
ones are counted.
"""

import time
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from jobs.process import logs
from jobs.schema import JobState
from worker.leases.held import HeldJob
from worker.leases.leased_job import LeasedJob
from worker.statistics import Times

MAX_LINES = 10
"""Lines per second about failed or slow jobs."""

INPUTS_FAULT = frozenset({"input-failed", "invalid-request", "output-not-encodable"})
"""Kinds of failures that are the client's to fix."""


class JobLog:
    """The log of one worker's jobs."""

    def __init__(
        self, log: FilteringBoundLogger, slow: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._slow = slow
        self._clock = clock
        self._since = clock()
        self._written = self._omitted = 0

    def claimed(self, jobs: Sequence[LeasedJob]) -> None:
        if logs.debugging():
            for job in jobs:
                self._log.debug("job claimed", job=job.id, attempts_before=job.claimed.attempts)
                if job.unknown:
                    self._log.debug("unknown fields ignored", job=job.id, fields=sorted(job.unknown))

    def ended(self, job: HeldJob, state: JobState, times: Times) -> None:
        """Logs the end of a job; almost free if there is nothing to log."""
        if state is JobState.FAILED:
            kind = job.failures[0].kind if job.failures else "unknown"
            level = "info" if kind in INPUTS_FAULT else "warning"
            self._write_limited(level, "job failed", job, state, times, reason=kind)
        elif times.total >= self._slow:
            self._write_limited("info", "slow job", job, state, times)
        elif logs.debugging():
            self._write("debug", "job ended", job, state, times)

    def log_omitted(self) -> None:
        """Logs once a second how many lines were omitted. To be called regularly."""
        now = self._clock()
        if now - self._since < 1.0:
            return
        if self._omitted:
            self._log.warning("lines about failed or slow jobs omitted", jobs=self._omitted)
        self._since, self._written, self._omitted = now, 0, 0

    def _write_limited(
        self, level: str, event: str, job: HeldJob, state: JobState, times: Times, **more: object
    ) -> None:
        self.log_omitted()
        if self._written < MAX_LINES or logs.debugging():
            self._written += 1
            self._write(level, event, job, state, times, **more)
        else:
            self._omitted += 1

    def _write(
        self, level: str, event: str, job: HeldJob, state: JobState, times: Times, **more: object
    ) -> None:
        milliseconds = {
            f"{name}_ms": round(seconds * 1000, 1)
            for name, seconds in times._asdict().items()
            if seconds is not None
        }
        write = getattr(self._log, level)
        write(event, job=job.id, state=str(state), inputs=job.count, **milliseconds, **more)
