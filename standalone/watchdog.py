"""The watchdog: a small process that ends the children when the supervisor dies without doing so itself.

Nothing of ours runs after a SIGKILL. So the supervisor tells another process which groups it has started,
over a pipe that only the supervisor holds open; when the pipe ends, the groups that are left are ended. That
works on every Unix and needs no code between fork and exec. This file is also the program that runs there, by
its path and with the standard library alone.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL: enough for Valkey to write its file; jobs have their leases."""


class Watchdog:
    """The supervisor's end of the pipe. `holding`: open files that live as long as the watchdog."""

    def __init__(self, holding: Sequence[int] = ()) -> None:
        self._holding = holding
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            bufsize=0,
            pass_fds=self._holding,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def stop(self) -> None:
        """Ends the watchdog, and with it any group that was not removed."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    deadline = time.monotonic() + GRACE
    left = send(signal.SIGTERM, groups)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = send(0, left)
    send(signal.SIGKILL, left)


def send(number: int, groups: Iterable[int]) -> set[int]:
    """Signals the groups and returns those that exist; signal 0 only asks."""
    there = set()
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            there.add(group)
    return there


if __name__ == "__main__":
    main()
