"""A child program: started, restarted when it dies, stopped within a grace period."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobs.errors import ConfigurationError
from jobs.process import watchdog
from jobs.process.backoff import Backoff
from jobs.process.exits import how_it_ended
from standalone.terminal import say

FIRST_PAUSE = 0.5
"""Seconds before the first restart; each later restart waits twice as long."""

LONGEST_PAUSE = 30.0
"""Longest pause in seconds."""

STEADY = 60.0
"""Seconds of running after which a program counts as recovered and the pauses start again."""

KILL_WAIT = 5.0
"""Most seconds to wait for the end of a killed program."""


class Child:
    """A command in its own session, so that only this process receives a Ctrl-C and controls the stop.

    `grace`: seconds between SIGTERM and SIGKILL. `log`: the file for its output, by default our own output.
    `startup_error`: returns the message if it refuses to start, for a program that prints none itself.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        grace: float,
        log: Path | None = None,
        startup_error: Callable[[], str] = str,
    ) -> None:
        self.name = name
        self.works = False
        """Whether it has worked before. Until then exit status 1 means a configuration error: no restart."""
        self._command = command
        self._environment = environment
        self._grace = grace
        self._log = log
        self._startup_error = startup_error
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, guard: watchdog.Watchdog) -> None:
        with self._log.open("ab") if self._log else contextlib.nullcontext() as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        guard.add(self._process.pid)

    async def keep(self, guard: watchdog.Watchdog) -> None:
        """Restarts the program whenever it dies. Raises ConfigurationError if it refuses to start."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, STEADY)
        while True:
            backoff.began()
            status = await self._ended(guard)
            if status == 1 and not self.works:
                raise ConfigurationError(self._startup_error())
            backoff.failed()
            say(f"{_capital(self.name)} {how_it_ended(status)}; it is restarted in {backoff.pause:g} s")
            await asyncio.sleep(backoff.pause)
            await self.start(guard)

    async def stop(self, guard: watchdog.Watchdog) -> None:
        """Sends SIGTERM, and SIGKILL after the grace period. Returns when the program has ended."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(self._grace):
                await self._ended(guard)
        except TimeoutError:
            say(f"{_capital(self.name)} did not stop within {self._grace:g} s and is killed")
            self.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_WAIT):
                    await self._ended(guard)

    def kill(self) -> None:
        """Sends SIGKILL to the program and its process group."""
        if self._process is not None:
            watchdog.send(signal.SIGKILL, {self._process.pid})

    async def _ended(self, guard: watchdog.Watchdog) -> int:
        """Waits for the program's end, kills the rest of its group, and returns its status."""
        assert self._process is not None
        status = await self._process.wait()
        self.kill()
        guard.remove(self._process.pid)
        return status


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
