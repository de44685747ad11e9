"""Processes whose parent has ended: one ends with it, however that dies; or another process adopts them."""

import ctypes
import os
import signal
import sys
from contextlib import suppress

from jobs.process.watchdog import MARK, PROCESSES

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent is gone (on Linux), even if it hangs in C by then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


def adopt() -> None:
    """Has the kernel make orphans among this process's descendants its children from now on (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """The ids of this process's children, also of those that it adopted; none where there is no /proc."""
    if not PROCESSES.is_dir():
        return []
    pids = [int(folder.name) for folder in PROCESSES.iterdir() if folder.name.isdecimal()]
    return [pid for pid in pids if _state(pid)[1] == os.getpid()]


def is_unmarked(pid: int) -> bool:
    """Whether this child runs and nothing in its environment says whose it is."""
    environment = None
    with suppress(OSError):
        environment = (PROCESSES / str(pid) / "environ").read_bytes()
    # only after that: of one that has ended, the environment is empty
    runs = _state(pid)[0] not in ("", "Z", "X")
    return environment is not None and f"{MARK}=".encode() not in environment and runs


def _state(pid: int) -> tuple[str, int]:
    """One letter, and its parent's id; empty and 0 where there is no such process."""
    try:
        stat = (PROCESSES / str(pid) / "stat").read_bytes()
    except OSError:
        return "", 0
    state, parent = stat.rpartition(b")")[2].split()[:2]
    return state.decode(), int(parent)
