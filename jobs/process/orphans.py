"""Processes whose parent has ended: end this process with its parent, or adopt orphaned descendants."""

import ctypes
import os
import signal
import sys
from contextlib import suppress

from jobs.process.watchdog import MARK, PROC

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with(parent: int) -> None:
    """Makes the kernel kill this process when its parent ends (on Linux), even if it hangs in C code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the call
            os._exit(1)


def adopt() -> None:
    """Makes orphaned descendants of this process its children from now on (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """Returns the ids of this process's children, including adopted ones; none without /proc."""
    if not PROC.is_dir():
        return []
    pids = [int(folder.name) for folder in PROC.iterdir() if folder.name.isdecimal()]
    return [pid for pid in pids if _state(pid)[1] == os.getpid()]


def is_unmarked(pid: int) -> bool:
    """Returns whether this child runs and has no mark in its environment."""
    environment = None
    with suppress(OSError):
        environment = (PROC / str(pid) / "environ").read_bytes()
    # check this last: an ended process has an empty environment
    runs = _state(pid)[0] not in ("", "Z", "X")
    return environment is not None and f"{MARK}=".encode() not in environment and runs


def _state(pid: int) -> tuple[str, int]:
    """Returns the process's state letter and its parent's id; empty and 0 if there is no such process."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return "", 0
    state, parent = stat.rpartition(b")")[2].split()[:2]
    return state.decode(), int(parent)
