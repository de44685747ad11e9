"""One program that is kept running: started, restarted when it dies, stopped within a grace."""

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
"""Seconds before the first restart; each one after that waits twice as long."""

LONGEST_PAUSE = 30.0
"""Seconds beyond which the pause does not grow."""

STEADY = 60.0
"""Seconds after which a program that ran so long has recovered, and the pauses start over."""

KILL_WAIT = 5.0
"""Seconds that the system may take to end a killed program."""


class Child:
    """A command in a session of its own, so that a Ctrl-C reaches us alone and we order the stop.

    `grace`: seconds between SIGTERM and SIGKILL. `log`: the file it writes to, by default where we write.
    `complaint`: what to say when it refuses to start, for a program that does not say so itself.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        grace: float,
        log: Path | None = None,
        complaint: Callable[[], str] = str,
    ) -> None:
        self.name = name
        self.works = False
        """Whether it has done its work once. Until then, exit status 1 means that it never will."""
        self._command = command
        self._environment = environment
        self._grace = grace
        self._log = log
        self._complaint = complaint
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
        """Restarts it whenever it dies. Raises ConfigurationError when it refuses to start at all."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, STEADY)
        while True:
            backoff.began()
            status = await self._ended(guard)
            if status == 1 and not self.works:
                raise ConfigurationError(self._complaint())
            backoff.failed()
            say(f"{_capital(self.name)} {how_it_ended(status)}; it is restarted in {backoff.pause:g} s")
            await asyncio.sleep(backoff.pause)
            await self.start(guard)

    async def stop(self, guard: watchdog.Watchdog) -> None:
        """SIGTERM, and SIGKILL when the grace is over. Returns when it has ended."""
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
        """SIGKILL to it and whatever it started in its session."""
        if self._process is not None:
            watchdog.send(signal.SIGKILL, {self._process.pid})

    async def _ended(self, guard: watchdog.Watchdog) -> int:
        """Waits for its end, takes what it left behind with it, and returns its status."""
        assert self._process is not None
        status = await self._process.wait()
        self.kill()
        guard.remove(self._process.pid)
        return status


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
