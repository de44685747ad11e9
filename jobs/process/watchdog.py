"""The watchdog: a small process that ends another process's children if that process dies without doing so.

A process cannot clean up after a SIGKILL. So the starter reports its process groups to the watchdog, over a
pipe that only the starter holds open. When the pipe closes, the watchdog ends the remaining groups. This
works on every Unix and needs no code between fork and exec. This file is also the watchdog's program, run by
its path and with the standard library alone.

A process may leave its group. If a group has a mark, each process that inherited the mark in its environment
belongs to the group (on Linux, where /proc shows the environment).
"""

import contextlib
import math
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL: enough for Valkey to write its file; leases protect running jobs."""

MARK = "BATCHLINE_STARTED_AS"
"""The environment variable that holds a group's mark."""

PROC = Path("/proc")


def new_mark() -> str:
    """Returns a unique value for `MARK`."""
    return secrets.token_hex(16)


class Watchdog:
    """The starter's end of the pipe.

    `grace`: seconds between SIGTERM and SIGKILL, 0 for SIGKILL at once. `holding`: file descriptors that stay
    open as long as the watchdog runs.
    """

    def __init__(self, holding: Sequence[int] = (), grace: float = GRACE) -> None:
        self._holding = holding
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(self._grace)],
            stdin=subprocess.PIPE,
            bufsize=0,
            pass_fds=self._holding,
            start_new_session=True,
        )

    def add(self, group: int, mark: str = "") -> None:
        self._write(f"+{group} {mark}\n")

    def remove(self, group: int) -> None:
        self._write(f"-{group}\n")

    def stop(self) -> None:
        """Ends the watchdog and any group that was not removed."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())


def end(group: int, mark: str, seconds: float = math.inf) -> bool:
    """Kills all processes of the group and all with its mark, until none is left that it may kill.

    Returns whether that was reached within `seconds`; processes may start others faster than this kills them.
    """
    killed: set[int] = set()
    until = time.monotonic() + seconds
    while True:
        send(signal.SIGKILL, {group})
        found = set(marked(mark)) - killed
        if not found or time.monotonic() > until:
            return not found
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= found


def marked(mark: str) -> list[int]:
    """Returns the ids of the processes with this mark, except this process; none if the mark is empty."""
    if not mark or not PROC.is_dir():
        return []
    entry, found = f"{MARK}={mark}".encode(), []
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended or belongs to another user
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def send(number: int, groups: Iterable[int]) -> set[int]:
    """Signals the groups and returns those that exist; signal 0 only checks."""
    existing = set()
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            existing.add(group)
    return existing


def main(grace: float) -> None:
    """Reads `+GROUP MARK` and `-GROUP` lines until the pipe closes, then ends the remaining groups."""
    groups: dict[int, str] = {}
    for line in sys.stdin:
        group, _, mark = line[1:].strip().partition(" ")
        if line.startswith("+"):
            groups[int(group)] = mark
        else:
            groups.pop(int(group), None)
    if grace:
        deadline = time.monotonic() + grace
        left = send(signal.SIGTERM, groups)
        while left and time.monotonic() < deadline:
            time.sleep(0.02)
            left = send(0, left)
    for group, mark in groups.items():
        end(group, mark)


if __name__ == "__main__":
    main(float(sys.argv[1]))
