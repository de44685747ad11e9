"""EngineGuard: ends the processes that engines have started; one for all engines of a worker.

When an engine ends, its process group and all processes that carry its mark are killed: by the worker, or by
the worker's watchdog if the worker was killed. A process that left the group and has another environment is
an orphan by then. A live engine adopts its own orphans. The worker adopts those of an engine that has ended,
and kills them (on Linux).
"""

import asyncio
import os
import signal
import time
from contextlib import suppress

import structlog

from jobs.process import orphans, watchdog

CLEAN_UP_SECONDS = 5.0
"""Time limit for cleaning up after one engine; a class may start processes faster than they are killed."""

log = structlog.get_logger()


class EngineGuard:
    """Before `start` it neither adopts orphans nor has a watchdog: the process is then not a worker."""

    def __init__(self) -> None:
        self._watchdog: watchdog.Watchdog | None = None
        self._other_children: set[int] = set()
        """Children of this process that belong to no engine: the watchdog, and any started earlier."""

    def start(self) -> None:
        """To be called before the first engine starts."""
        self._watchdog = watchdog.Watchdog(grace=0.0)
        self._watchdog.start()
        self._other_children = set(orphans.children())
        orphans.adopt()

    def stop(self) -> None:
        """Ends the watchdog, which ends the remaining engines."""
        if self._watchdog is not None:
            self._watchdog.stop()

    def add(self, pid: int, mark: str) -> None:
        """Registers a started engine."""
        if self._watchdog is not None:
            self._watchdog.add(pid, mark)

    async def clean_up(self, pid: int, mark: str) -> None:
        """Kills the processes that an ended engine has left."""
        until = time.monotonic() + CLEAN_UP_SECONDS
        clean = await asyncio.to_thread(watchdog.end, pid, mark, CLEAN_UP_SECONDS)
        if self._watchdog is not None:
            clean = await self._end_orphans(until) and clean
            if clean:
                self._watchdog.remove(pid)
        if not clean:
            log.error("processes of an ended engine still run", engine=pid)

    async def _end_orphans(self, until: float) -> bool:
        """Returns whether none is left; the children of a killed orphan are adopted in turn."""
        killed: set[int] = set()
        while found := await asyncio.to_thread(orphans.children):
            # this must not run in a thread: it could see an engine between fork and exec, without its mark
            strays = [pid for pid in found if pid not in self._other_children and orphans.is_unmarked(pid)]
            for pid in strays:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            killed |= set(strays)
            for pid in killed:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
            if not strays or time.monotonic() > until:
                return not strays
            await asyncio.sleep(0.01)
        return True
