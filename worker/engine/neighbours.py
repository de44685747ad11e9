"""Neighbours: engines of one machine that start at the same time. They load at once, and measure in turn.

What an engine measures beside others that load or measure is wrong, and it need not look so: the times agree
with each other. So an engine that has to measure holds a shared lock on a file of the cache while it loads,
and the exclusive one while it measures. It does not wait for long: then what it measures counts as measured
on a busy machine.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

PATIENCE = 15.0
"""Seconds to wait for the neighbours, before loading and again before measuring."""

PAUSE = 0.05
"""Seconds between two tries."""


class Neighbours:
    """The lock in this folder; without one, or where it cannot be used, an engine counts as alone."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / "measuring.lock" if folder is not None else None

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Lets nobody begin to measure meanwhile; begins once nobody measures, or after PATIENCE."""
        with self._locked(exclusive=False):
            yield

    @contextlib.contextmanager
    def measuring(self) -> Iterator[bool]:
        """Begins once nobody loads or measures, or after PATIENCE; gives whether the engine is alone."""
        with self._locked(exclusive=True) as alone:
            yield alone

    @contextlib.contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[bool]:
        if self._file is None or fcntl is None:
            yield True
            return
        with contextlib.ExitStack() as opened:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                file = opened.enter_context(self._file.open("a"))  # closing it, or dying, releases the lock
            except OSError:
                yield True
                return
            yield _acquire(file.fileno(), fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)


def _acquire(file: int, kind: int) -> bool:
    """Returns whether the lock was acquired within PATIENCE; true where files cannot be locked."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE)
        except OSError:
            return True
        else:
            return True
