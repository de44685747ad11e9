"""Histograms in a heartbeat: the bounds of their buckets, and counting into a list.

Their Prometheus names and output are in `jobs/monitoring/metrics.py`.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

# fmt: off
LATENCIES = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75,
    1, 1.5, 2.5, 3.5, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 600, 1800,
)
# fmt: on
"""Seconds; a job may wait for longer than any request. From 20 ms to 30 s each bucket's upper bound is at
most 1.75 times its lower bound, so the bound of a quantile is at most 1.75 times the quantile."""

BATCH_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Items in one micro-batch."""

PADDING = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75)
"""Share of padding among a micro-batch's tokens, 0 to 1."""

Counts = list[int]
"""Number of values in each bucket; the last number is of those above all bounds."""


def fitting(counts: Counts, bounds: Sequence[float]) -> Counts:
    """Returns the counts, or an empty list if another version's bounds made them another length."""
    return counts if len(counts) == len(bounds) + 1 else []


def empty(bounds: Sequence[float]) -> Counts:
    """Returns counts of zero."""
    return [0] * (len(bounds) + 1)


def count(counts: Counts, bounds: Sequence[float], value: float) -> None:
    """Counts a value in the first bucket whose bound is not below it, like Prometheus' `le`."""
    counts[bisect_left(bounds, value)] += 1


def cumulative(counts: Counts, bounds: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Yields each bound and the number of values not above it; the last bound is infinity."""
    return zip((*bounds, float("inf")), accumulate(counts or empty(bounds)), strict=True)
