"""A small disk that a test may fill: a separate tmpfs, which can grow afterwards."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

KIB = 1024


@dataclass
class SmallDisk:
    """A disk, mounted at `folder` during the block of `small_disk`."""

    folder: Path
    kib: int

    def left(self) -> int:
        """Free bytes."""
        return shutil.disk_usage(self.folder).free

    def grow(self, kib: int) -> None:
        """Adds free space."""
        self.kib += kib
        _run("mount", "-o", f"remount,size={self.kib}k", str(self.folder))


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[SmallDisk]:
    """Mounts the disk. Skips the test if mounting is not permitted."""
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here, which takes Linux and root: {error}")
    try:
        yield SmallDisk(folder, kib)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)
