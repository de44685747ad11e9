"""Histograms as they travel in a heartbeat: the bounds of their buckets, and counting into a list.

What they are called, and how they are shown to Prometheus, is in `jobs/monitoring/metrics.py`.
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
"""Seconds; a job may wait for longer than any request. A quantile is somewhere in its bucket, so from 20 ms
to 30 s each ends within 1.75 times its start."""

BATCH_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Items in one micro-batch."""

PADDING = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75)
"""Share of padding among a micro-batch's tokens, 0 to 1."""

Counts = list[int]
"""How many values fell into each bucket, and last how many were above all bounds."""


def fitting(counts: Counts, bounds: Sequence[float]) -> Counts:
    """The counts, or none where they are another version's, with other bounds."""
    return counts if len(counts) == len(bounds) + 1 else []


def empty(bounds: Sequence[float]) -> Counts:
    """Nothing counted yet."""
    return [0] * (len(bounds) + 1)


def count(counts: Counts, bounds: Sequence[float], value: float) -> None:
    """Into the first bucket whose bound is not below the value, as Prometheus' `le` has it."""
    counts[bisect_left(bounds, value)] += 1


def cumulative(counts: Counts, bounds: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Each bound and how many values were not above it; last infinity and all of them."""
    return zip((*bounds, float("inf")), accumulate(counts or empty(bounds)), strict=True)
