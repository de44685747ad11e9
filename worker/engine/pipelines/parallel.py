"""Lanes: several forward passes at once, each on one core, instead of one pass on all cores.

A pass on all cores is hundreds of short operations, and after each the cores wait for the slowest. Where an
API, a Redis or a tokenizer need a core for a moment, all others wait as often. Passes on one core each wait
for nobody until all of them are done.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier
from typing import NamedTuple, TypeVar

import torch

from worker.engine import threads

Work = TypeVar("Work")
Done = TypeVar("Done")

LEAST = 96
"""Tokens in each lane from which on lanes are the better choice; fewer use a core too badly."""


class Lanes:
    """As many threads as cores, each without helpers. Raises MemoryError when there is no room for them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, "lane", initializer=threads.alone)
        all_there = Barrier(count)
        try:  # at once: in the midst of a batch one that cannot start would be the batch's fault
            self.run([all_there] * count, Barrier.wait)
        except RuntimeError as error:
            raise MemoryError(f"{count} threads could not be started: {error}") from error

    def run(self, work: Sequence[Work], compute: Callable[[Work], Done]) -> list[Done]:
        """All of it, in order. Raises what `compute` raises, once nothing runs any more."""
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
    """Of the rows of a part."""

    rows: int = 0
    tokens: int = 0
    longest: int = 0

    def with_row(self, length: int) -> "Size":
        return Size(self.rows + 1, self.tokens + length, max(self.longest, length))


def deal(lengths: Sequence[int], count: int, too_large: Callable[[Size], bool]) -> list[list[int]]:
    """Deals rows out to `count` parts: about as many tokens in each, and rows of like length together.

    `lengths` are those of the rows, in tokens; where a part would be `too_large`, there are more parts.
    Returns the numbers of the rows.
    """
    share, before, latest = sum(lengths) / count, 0, -1
    parts: list[list[int]] = []
    size = Size()
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        part = int((before + lengths[row] / 2) / share)  # in which its middle is
        size = size.with_row(lengths[row])
        if part > latest or too_large(size):
            parts.append([])
            latest, size = part, Size().with_row(lengths[row])
        parts[-1].append(row)
        before += lengths[row]
    return parts
