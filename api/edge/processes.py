"""Runs several API processes on one port: starts them, restarts one that dies, stops them together.

Each is `python -m api --shared FD PID`, with the listening socket FD of the parent PID. The kernel assigns
each connection to one of them. Their metrics are in files that all of them read (prometheus_client's
multiprocess mode), so that /metrics reports all processes, whichever answers.
"""

import asyncio
import os
import signal
import socket
import tempfile

import structlog
from prometheus_client import multiprocess

from jobs.process import programs
from jobs.process.backoff import Backoff
from jobs.process.exits import how_it_ended
from jobs.process.signals import StopSignals

log = structlog.get_logger("api")

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder of prometheus_client's metrics of several processes. It is read at import."""

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
"""Shortest and longest delay in seconds before a process is restarted."""
STEADY = 10.0
"""Seconds after which a running process counts as started successfully."""
TRIES = 5
"""Consecutive failed starts of one process after which all are stopped."""


def serve(listener: socket.socket, count: int) -> int:
    """Runs `count` processes until a signal. Returns exit status 1 if one of them fails repeatedly."""
    with tempfile.TemporaryDirectory(prefix="batchline-metrics-") as folder:
        return asyncio.run(_Processes(listener, folder).run(count))


class _Processes:
    def __init__(self, listener: socket.socket, folder: str) -> None:
        self._listener = listener
        self._environment = {**os.environ, METRICS_VARIABLE: folder}
        self._folder = folder
        self._running: set[asyncio.subprocess.Process] = set()
        self._signals = StopSignals()
        self._stopping = False

    async def run(self, count: int) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        return max(await asyncio.gather(*(self._keep_running() for _ in range(count))))

    def _on_signal(self, number: int) -> None:
        if self._signals.first(number):  # a second signal kills this process and its children
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        for process in self._running:
            process.terminate()

    async def _keep_running(self) -> int:
        """Runs one process and restarts it when it dies."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, STEADY)
        while not self._stopping:
            backoff.began()
            process = await self._start()
            status = await process.wait()
            self._running.discard(process)
            multiprocess.mark_process_dead(process.pid, self._folder)  # type: ignore[no-untyped-call]
            if self._stopping:
                return 0
            failures = backoff.failed()
            log.error("API process died", pid=process.pid, how=how_it_ended(status), times=failures)
            if failures == TRIES:
                self._stop()
                return 1
            await asyncio.sleep(backoff.pause)
        return 0

    async def _start(self) -> asyncio.subprocess.Process:
        descriptor = self._listener.fileno()
        command = programs.command("api", "--shared", str(descriptor), str(os.getpid()))
        process = await asyncio.create_subprocess_exec(
            *command, pass_fds=[descriptor], env=self._environment, stdin=asyncio.subprocess.DEVNULL
        )
        self._running.add(process)
        if self._stopping:  # the signal arrived meanwhile
            process.terminate()
        return process
