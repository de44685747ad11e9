"""Lanes: several forward passes at once, each on one core, instead of one pass on all cores.

A pass on all cores is hundreds of short operations, and after each the cores wait for the slowest. Where an
API, a Redis or a tokenizer need a core for a moment, all others wait as often. Passes on one core each wait
for nobody until all of them are done.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from worker import threads

Work = TypeVar("Work")
Done = TypeVar("Done")

LEAST = 96
"""Tokens in each lane from which on lanes are the better choice; fewer use a core too badly."""


class Lanes:
    """As many threads as cores, each without helpers."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, "lane", initializer=threads.alone)

    def run(self, work: Sequence[Work], compute: Callable[[Work], Done]) -> list[Done]:
        """All of it, in order. Raises what `compute` raises, once nothing runs any more."""
        running = [self._threads.submit(_compute, compute, one) for one in work]
        wait(running)
        return [one.result() for one in running]


def _compute(compute: Callable[[Work], Done], work: Work) -> Done:
    with torch.inference_mode():  # each thread has its own
        return compute(work)


def deal(lengths: Sequence[int], count: int, too_large: Callable[[list[int]], bool]) -> list[list[int]]:
    """Deals rows out to `count` parts: about as many tokens in each, and rows of like length together.

    `lengths` are those of the rows, in tokens; where a part of these rows would be `too_large`, there are
    more parts. Returns the numbers of the rows.
    """
    share, before, latest = sum(lengths) / count, 0, -1
    parts: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        part = int((before + lengths[row] / 2) / share)  # in which its middle is
        if part > latest or too_large([*parts[-1], row]):
            parts.append([])
            latest = part
        parts[-1].append(row)
        before += lengths[row]
    return parts
