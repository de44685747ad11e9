"""A peer's server as a process group of its own: started, waited for, ended with all that it started."""

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

ENDED = 10.0
"""Seconds that a server may take to end by itself; then it is killed."""

QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""None of them tells anybody about us, or looks for a model elsewhere."""


@contextmanager
def serving(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """It runs while the block does; what it prints goes to `log`, its temporary files end with it."""
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
    """SIGTERM, some patience, then SIGKILL for the group and for what had left it."""
    family = _descendants(process.pid)
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDED)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()  # psutil makes sure that the id is still this process's
    process.wait(ENDED)
    psutil.wait_procs(family, timeout=ENDED)


def wait_for(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path, seconds: float
) -> None:
    """Until it `answers`. Raises BenchError, with the server's last words, when it dies or takes too long."""
    deadline = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None:
            raise BenchError(f"it ended with status {process.returncode}: {last_words(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"it does not answer after {seconds:g} s: {last_words(log)}")
        time.sleep(0.1)


def last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line[:200] for line in reversed(lines) if line), "it said nothing")


def _descendants(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []
