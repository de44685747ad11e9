"""EngineProcess: an engine's child process with every process that it starts; it ends once, in any way."""

import asyncio
import contextlib
import socket
from typing import Self

import structlog

from jobs.process.exits import how_it_ended
from jobs.process.watchdog import new_mark
from worker.supervisor.guard import EngineGuard
from worker.supervisor.spawn import spawn

log = structlog.get_logger()

EXIT_WAIT = 2.0
"""Seconds that a child gets to exit after it has closed its socket."""


class EngineProcess:
    """One child. `guard.py` ends the processes that carry its mark."""

    def __init__(self, process: asyncio.subprocess.Process, mark: str, guard: EngineGuard) -> None:
        self.pid = process.pid
        self._process = process
        self._mark = mark
        self._guard = guard

    @classmethod
    async def start(cls, guard: EngineGuard) -> tuple[Self, socket.socket]:
        """Returns the started child and the worker's end of its socket. Raises EngineDied."""
        mark = new_mark()
        process, ours = await spawn(mark)
        guard.add(process.pid, mark)
        return cls(process, mark, guard), ours

    async def wait(self) -> int:
        """Waits for the child's end; returns its status."""
        return await self._process.wait()

    def kill(self) -> None:
        """Kills the child, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> str:
        """Waits for the child's end, ends the processes it has started, and returns how it ended."""
        how = how_it_ended(await self._process.wait())
        await self._guard.clean_up(self.pid, self._mark)
        return how

    async def exited(self) -> str:
        """Like `ended`, for a child that has closed its socket; kills it if it does not exit."""
        how = "closed its connection and was killed"
        try:
            try:
                await asyncio.wait_for(self._process.wait(), EXIT_WAIT)
            except TimeoutError:
                self.kill()
                await self.ended()
            else:
                how = await self.ended()
        except Exception:  # a new engine is started in any case
            log.exception("cleaning up after an engine failed", engine=self.pid)
        return how
