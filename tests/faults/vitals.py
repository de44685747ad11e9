"""Memory and file descriptors of a stack's processes, sampled while they run."""

import asyncio
import statistics
import time
from collections import defaultdict

import psutil

from tests.faults.stack import Stack

EVERY = 1.0
"""Seconds between samples."""
GROWN_UP = 15.0
"""Seconds of a process's life that are not counted, while it loads and fills its caches."""
LIVED = 20.0
"""Seconds of samples that a process needs for a slope."""

Samples = list[tuple[float, float, float]]


class Vitals:
    """By process, named by its role: its age in seconds, MiB, open file descriptors."""

    def __init__(self) -> None:
        self.samples: defaultdict[tuple[str, int], Samples] = defaultdict(list)

    async def watch(self, stack: Stack) -> None:
        while True:
            pids = [("worker", worker.pid) for worker in stack.workers]
            pids += [("api", api.pid) for api in stack.apis.values()]
            if stack.server.process is not None:
                pids.append(("valkey", stack.server.process.pid))
            for key in pids:
                self._sample(key)
            await asyncio.sleep(EVERY)

    def _sample(self, key: tuple[str, int]) -> None:
        try:
            process = psutil.Process(key[1])
            age = time.time() - process.create_time()
            memory = process.memory_info().rss / 2**20
            self.samples[key].append((age, memory, process.num_fds()))
        except psutil.Error:
            pass  # it is dead or dying

    def slopes(self, what: str) -> list[float]:
        """MiB per minute, of each process of that kind with enough samples."""
        slopes = []
        for (kind, _), samples in self.samples.items():
            grown = [(age, memory) for age, memory, _ in samples if age > GROWN_UP]
            if kind == what and grown and grown[-1][0] - grown[0][0] > LIVED:
                slopes.append(60 * slope(grown))
        return slopes

    def most(self, what: str, column: int) -> float:
        """The largest MiB (1) or number of file descriptors (2) that a process of that kind had."""
        return max(
            (row[column] for key, rows in self.samples.items() if key[0] == what for row in rows), default=0
        )


def slope(points: list[tuple[float, float]]) -> float:
    """The slope of the least-squares line, in units of the second coordinate per unit of the first."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope
