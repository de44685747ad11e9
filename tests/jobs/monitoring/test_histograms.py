"""Counting into buckets as Prometheus understands them."""

from jobs.monitoring.histograms import count, cumulative, empty

BOUNDS = (1, 2.5)


def test_a_bound_belongs_to_its_bucket() -> None:
    counts = empty(BOUNDS)
    for value in (0.0, 1, 1.1, 2.5, 2.6, 1e9):
        count(counts, BOUNDS, value)
    assert counts == [2, 2, 2]
    assert list(cumulative(counts, BOUNDS)) == [(1, 2), (2.5, 4), (float("inf"), 6)]


def test_a_heartbeat_of_another_version_has_none() -> None:
    assert list(cumulative([], BOUNDS)) == [(1, 0), (2.5, 0), (float("inf"), 0)]
