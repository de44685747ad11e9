"""Lanes: several forward passes at once, each on one core, instead of one pass on all cores.

A pass on all cores is hundreds of short operations, and after each the cores wait for the slowest. Whenever
the API, Redis or a tokenizer uses a core for a moment, all other cores wait. Passes on one core each wait
only once, at the end.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier
from typing import NamedTuple, TypeVar

import torch

from worker.engine import threads

Work = TypeVar("Work")
Done = TypeVar("Done")

MIN_TOKENS = 96
"""Minimum tokens per lane; with fewer, lanes use the cores too badly."""


class Lanes:
    """One thread per core, without helper threads. Raises MemoryError if they cannot be started."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, "lane", initializer=threads.use_one_thread)
        barrier = Barrier(count)
        try:  # started now: during a batch, a thread that cannot start would be blamed on the batch
            self.run([barrier] * count, Barrier.wait)
        except RuntimeError as error:
            raise MemoryError(f"{count} threads could not be started: {error}") from error

    def run(self, work: Sequence[Work], compute: Callable[[Work], Done]) -> list[Done]:
        """Runs all work; returns the results in order, or raises what `compute` raises, after all ended."""
        running: list[Future[Done]] = []
        try:
            for one in work:
                running.append(self._threads.submit(_compute, compute, one))
        finally:
            wait(running)
        return [one.result() for one in running]


def _compute(compute: Callable[[Work], Done], work: Work) -> Done:
    with torch.inference_mode():  # each thread has its own
        return compute(work)


class Size(NamedTuple):
    """The size of a part, from its rows."""

    rows: int = 0
    tokens: int = 0
    longest: int = 0

    def with_row(self, length: int) -> "Size":
        return Size(self.rows + 1, self.tokens + length, max(self.longest, length))


def divide(lengths: Sequence[int], count: int, too_large: Callable[[Size], bool]) -> list[list[int]]:
    """Divides rows into `count` parts of about equal tokens, with rows of similar length together.

    `lengths` are those of the rows, in tokens. If a part would be `too_large`, there are more parts. Returns
    the indices of the rows.
    """
    share, before, latest = sum(lengths) / count, 0, -1
    parts: list[list[int]] = []
    size = Size()
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        part = int((before + lengths[row] / 2) / share)  # the part that contains the row's middle
        size = size.with_row(lengths[row])
        if part > latest or too_large(size):
            parts.append([])
            latest, size = part, Size().with_row(lengths[row])
        parts[-1].append(row)
        before += lengths[row]
    return parts
