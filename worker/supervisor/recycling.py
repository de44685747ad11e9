"""RecyclingPolicy: when an engine that works is due to be replaced, and which of its model's limits says so.

The feeder replaces it between two batches, so that no input notices.
"""

import os
import random
from pathlib import Path

from jobs.models import ModelSpec
from jobs.settings import MIB

PAGE = os.sysconf("SC_PAGE_SIZE")

SPREAD = 0.1
"""Share of `max_requests` by which an engine's own bound may be lower: those of several workers, which share
their jobs evenly, must not be replaced all at once."""


class RecyclingPolicy:
    """What one engine has done since it was loaded."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.due = ""
        """Why it is to be replaced, one of `jobs.monitoring.roster.RESTARTS`; empty while it is not."""
        self.answers = 0
        """Batches that it answered, also by raising."""
        self._inputs = 0
        self._most = spec.max_requests or 0

    def begin(self) -> None:
        """It was loaded."""
        self.due, self.answers, self._inputs = "", 0, 0
        if self.spec.max_requests is not None:
            self._most = self.spec.max_requests - random.randint(0, int(SPREAD * self.spec.max_requests))  # noqa: S311

    def answered(self, outputs: int, pid: int | None) -> None:
        """It answered a batch with so many outputs; none where the pipeline raised."""
        self.answers += 1
        self._inputs += outputs
        if self._most and self._inputs >= self._most:
            self.due = "max_requests"
        elif self.spec.max_resident is not None and resident(pid) > self.spec.max_resident:
            self.due = "max_resident"


def resident(pid: int | None) -> int:
    """MiB of the process's memory that are in RAM, mapped weights included; 0 where that is not known.

    It is known on Linux; to ask takes some 10 microseconds.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * PAGE // MIB
