"""A peer's server in its own process group: start, wait until it answers, end it with all its children."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.errors import BenchError
from tests.processes import ROOT

STOP_TIMEOUT = 10.0
"""Seconds after SIGTERM before a server is killed."""

QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Environment that disables the peers' telemetry and model downloads."""


@contextmanager
def serving(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server during the block. Writes its output to `log` and removes its temporary files."""
    with TemporaryDirectory(prefix="peer") as folder, log.open("wb") as output:
        given = {name: value for name, value in os.environ.items() if not name.startswith("BATCHLINE_")}
        given |= QUIET | {"TMPDIR": folder, "BENTOML_HOME": f"{folder}/bentoml"} | environment
        try:
            process = subprocess.Popen(
                command, cwd=ROOT, env=given, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise BenchError(f"it cannot be started: {error}") from None
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Sends SIGTERM, waits, then sends SIGKILL to the group and to descendants outside it."""
    family = _descendants(process.pid)
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()  # psutil checks that the id still belongs to this process
    process.wait(STOP_TIMEOUT)
    psutil.wait_procs(family, timeout=STOP_TIMEOUT)


def wait_for(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path, seconds: float
) -> None:
    """Waits until it `answers`. Raises BenchError with the server's last output if it dies or is too slow."""
    deadline = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None:
            raise BenchError(f"it ended with status {process.returncode}: {last_line(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"it does not answer after {seconds:g} s: {last_line(log)}")
        time.sleep(0.1)


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line[:200] for line in reversed(lines) if line), "it printed nothing")


def _descendants(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []
