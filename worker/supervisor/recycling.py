"""RecyclingPolicy: when a working engine is due to be replaced, and which limit of its model is the reason.

The feeder replaces it between two batches, so no input is affected.
"""

import os
import random
from pathlib import Path

from jobs.models import ModelSpec
from jobs.settings import MIB

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

SPREAD = 0.1
"""Share of `max_requests` by which an engine's limit is lowered at random: several workers share their jobs
evenly, and their engines must not all be replaced at the same time."""


class RecyclingPolicy:
    """Counts what one engine has done since it was loaded."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.due = ""
        """The reason to replace it, one of `jobs.monitoring.roster.RESTART_REASONS`; empty if none."""
        self.answers = 0
        """Batches that it answered, including those that raised."""
        self._inputs = 0
        self._limit = spec.max_requests or 0

    def begin(self) -> None:
        """Resets the counts after a load."""
        self.due, self.answers, self._inputs = "", 0, 0
        if self.spec.max_requests is not None:
            self._limit = self.spec.max_requests - random.randint(0, int(SPREAD * self.spec.max_requests))  # noqa: S311

    def answered(self, outputs: int, pid: int | None) -> None:
        """Counts an answered batch with so many outputs; 0 if the pipeline raised."""
        self.answers += 1
        self._inputs += outputs
        if self._limit and self._inputs >= self._limit:
            self.due = "max_requests"
        elif self.spec.max_resident is not None and resident(pid) > self.spec.max_resident:
            self.due = "max_resident"


def resident(pid: int | None) -> int:
    """Returns the process's resident memory in MiB, mapped weights included; 0 if unknown.

    It is known on Linux only. A call takes about 10 microseconds.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * PAGE_SIZE // MIB
