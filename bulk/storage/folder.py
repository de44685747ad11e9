"""A folder with objects: what obstore does not do for one."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from obstore.store import LocalStore, ObjectStore

_STAGED = re.compile(r".+#\d+")
"""Names of files that obstore writes before it renames them."""


class Folder:
    """The folder. Its methods block: they are called in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> ObjectStore:
        """Returns the folder as a store; creates it, for this user only. Raises OSError."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore(self._path)

    def sync(self, path: str) -> None:
        """Waits until an object would survive a power failure: obstore does not."""
        for each in (self._path / path, (self._path / path).parent):
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def clean(self, age: float) -> int:
        """Deletes unfinished files and empty folders that are older than `age` seconds. Returns the files."""
        before, deleted = time.time() - age, 0
        for folder, folders, names in os.walk(self._path, topdown=False):
            for name in filter(_STAGED.fullmatch, names):
                deleted += _delete(Path(folder, name), before)
            for name in folders:
                with suppress(OSError):  # not empty, or in use again
                    if Path(folder, name).stat().st_mtime < before:
                        Path(folder, name).rmdir()
        return deleted


def _delete(file: Path, before: float) -> bool:
    try:
        if file.stat().st_mtime >= before:
            return False
        file.unlink()
    except FileNotFoundError:
        return False
    return True
