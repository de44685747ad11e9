"""The lock of a run: two commands that write the same OUT would send its rows twice and mix up its state."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cli.batch.errors import CannotContinue

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Errors of file systems that have no locks, as some network file systems. OUT can be written there too."""


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Holds the lock of the run that writes `out`; the system frees it if the process dies.

    It is a file of its own, because the state file is replaced at each change. Raises CannotContinue.
    """
    path = out.with_name(out.name + ".batchline.lock")
    try:
        file = _locked(path)
    except BlockingIOError:
        raise CannotContinue(
            f"another command is writing {out}: wait until it ends, stop it, or give another name"
        ) from None
    except OSError as error:
        raise CannotContinue(f"{out} cannot be written: {error.strerror}") from None
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while the lock is held, so that it is not another command's file


def _locked(path: Path) -> IO[bytes]:
    while True:
        file = path.open("ab")
        try:
            _lock(file)
            if _names(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its holder deleted it between the two calls


def _lock(file: IO[bytes]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise


def _names(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
