"""Histograms as they travel in a heartbeat: the bounds of their buckets, and counting into a list.

What they are called, and how they are shown to Prometheus, is in `jobs/metrics.py`.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Seconds; a job may wait for longer than any request."""

BATCH_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Items in one micro-batch."""

PADDING = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75)
"""Share of padding among a micro-batch's tokens, 0 to 1."""

Counts = list[int]
"""How many values fell into each bucket, and last how many were above all bounds."""


def empty(bounds: Sequence[float]) -> Counts:
    """Nothing counted yet."""
    return [0] * (len(bounds) + 1)


def count(counts: Counts, bounds: Sequence[float], value: float) -> None:
    """Into the first bucket whose bound is not below the value, as Prometheus' `le` has it."""
    counts[bisect_left(bounds, value)] += 1


def cumulative(counts: Counts, bounds: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Each bound and how many values were not above it; last infinity and all of them."""
    return zip((*bounds, float("inf")), accumulate(counts or empty(bounds)), strict=True)
