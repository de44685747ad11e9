"""Bounds of percentiles: true for the jobs that were counted, whatever these were."""

import math
import random
import statistics

import pytest

from jobs.monitoring.histograms import LATENCIES, count, empty
from jobs.monitoring.work import quantile_bound


def counted(seconds: list[float]) -> list[int]:
    """A histogram of these times."""
    counts = empty(LATENCIES)
    for each in seconds:
        count(counts, LATENCIES, each)
    return counts


@pytest.mark.parametrize("seed", range(50))
def test_a_percentile_never_contradicts_the_times_that_it_summarizes(seed: int) -> None:
    chance = random.Random(seed)
    took = [chance.lognormvariate(-4, 1.5) for _ in range(chance.choice((1, 2, 3, 20, 100, 1_001)))]
    for q, name in ((0.5, "p50"), (0.95, "p95")):
        bound = quantile_bound(counted(took), q)
        assert bound is not None
        within = [each for each in took if each <= bound]
        assert len(within) >= q * len(took), f"{name} {bound} s is above too few of {took}"
        below = LATENCIES[LATENCIES.index(bound) - 1] if bound in LATENCIES[1:] else 0.0
        assert max(within) > below, f"a smaller bound than {bound} s is true of the same times"
    p50 = quantile_bound(counted(took), 0.5)
    assert p50 is not None
    assert p50 >= statistics.median(took)


def test_one_job_is_never_faster_than_its_percentile() -> None:
    assert quantile_bound(counted([0.021]), 0.5) == quantile_bound(counted([0.021]), 0.95) == 0.035
    assert quantile_bound(counted([0.02]), 0.5) == 0.02, "a bound belongs to its bucket"


def test_of_two_jobs_the_slower_one_counts() -> None:
    """The median of an even number of values is between the two in the middle."""
    assert quantile_bound(counted([0.001, 0.1]), 0.5) == 0.1


def test_times_above_all_bounds_have_none() -> None:
    assert quantile_bound(counted([1_801.0]), 0.5) == math.inf
    assert quantile_bound(counted([1.0, 1.0, 1_801.0]), 0.5) == 1.0


@pytest.mark.parametrize("counts", [[], empty(LATENCIES)])
def test_no_jobs_have_no_percentile(counts: list[int]) -> None:
    assert quantile_bound(counts, 0.5) is None
