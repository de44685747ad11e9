"""EngineGuard: ends what engines have started and left behind; one for all the engines of a worker.

An engine's process group and whatever carries its mark are killed when it ends: by the worker, or by the
worker's watchdog where the worker was killed. What has left the group, and has another environment, is an
orphan by then. Orphans of an engine that lives are adopted by the engine, and those of one that ended by the
worker, which kills them (on Linux).
"""

import asyncio
import os
import signal
import time
from contextlib import suppress

import structlog

from jobs.process import orphans, watchdog

SECONDS = 5.0
"""That cleaning up after one engine may take; a class may start processes faster than they are killed."""

log = structlog.get_logger()


class EngineGuard:
    """Until it is started, it neither adopts orphans nor has a watchdog: the process is no worker then."""

    def __init__(self) -> None:
        self._watchdog: watchdog.Watchdog | None = None
        self._before: set[int] = set()
        """Children of this process that no engine has left: the watchdog, and any from before."""

    def start(self) -> None:
        """Before the first engine is."""
        self._watchdog = watchdog.Watchdog(grace=0.0)
        self._watchdog.start()
        self._before = set(orphans.children())
        orphans.adopt()

    def stop(self) -> None:
        """Ends the watchdog, and with it the engines that are left."""
        if self._watchdog is not None:
            self._watchdog.stop()

    def add(self, pid: int, mark: str) -> None:
        """An engine was started."""
        if self._watchdog is not None:
            self._watchdog.add(pid, mark)

    async def clean_up(self, pid: int, mark: str) -> None:
        """The engine has ended."""
        until = time.monotonic() + SECONDS
        clean = await asyncio.to_thread(watchdog.end, pid, mark, SECONDS)
        if self._watchdog is not None:
            clean = await self._end_orphans(until) and clean
            if clean:
                self._watchdog.remove(pid)
        if not clean:
            log.error("an engine's processes are left", engine=pid)

    async def _end_orphans(self, until: float) -> bool:
        """Returns whether none is left; a killed one may have children, which are adopted then."""
        killed: set[int] = set()
        while found := await asyncio.to_thread(orphans.children):
            # in a thread an engine may be seen between fork and exec, without its mark; not in this one
            strays = [pid for pid in found if pid not in self._before and orphans.is_unmarked(pid)]
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
