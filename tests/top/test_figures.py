"""Figures computed from two readings."""

import pytest

from top.figures import Bound, Percentiles, between, quantile_bound
from top.readings import Reading, parse

INF = float("inf")


def reading(at: float, age: float, done: int, fast: int, worker: str = "w") -> Reading:
    """One worker that has ended so many jobs, `fast` of them after at most 0.1 s of waiting."""
    labels = f'model="m",worker="{worker}"'
    text = f"""
batchline_worker_start_time_seconds{{{labels}}} 1
batchline_worker_heartbeat_age_seconds{{{labels}}} {age}
batchline_worker_jobs_total{{{labels},state="succeeded"}} {done - 1}
batchline_worker_jobs_total{{{labels},state="failed"}} 1
batchline_worker_job_queued_seconds_bucket{{le="0.1",{labels}}} {fast}
batchline_worker_job_queued_seconds_bucket{{le="0.2",{labels}}} {done}
batchline_worker_job_queued_seconds_bucket{{le="+Inf",{labels}}} {done}
batchline_worker_items_total{{{labels}}} {4 * done}
batchline_worker_batches_total{{{labels}}} {done // 2}
batchline_worker_tokens_total{{{labels}}} {75 * done}
batchline_worker_padded_tokens_total{{{labels}}} {100 * done}
"""
    return Reading(at, {}, [], parse(text))


def test_a_rate_is_over_the_time_between_heartbeats() -> None:
    """The readings are 10 s apart, but the second one is of a heartbeat that is older by half a second."""
    figures = between(reading(100.0, 0.25, 20, 10), reading(110.0, 0.75, 58, 29), "m")
    assert figures.done == pytest.approx(38 / 9.5)
    assert (figures.batch, figures.padding) == (4 * 38 / 19, 0.25)
    assert figures.queued == Percentiles(Bound(0.2), Bound(0.2))
    assert figures.compute == Percentiles(None, None)


def test_without_work_no_figure_is_shown() -> None:
    same = reading(100.0, 0.0, 20, 10)
    figures = between(same, reading(110.0, 0.0, 20, 10), "m")
    assert (figures.done, figures.batch, figures.padding) == (0, None, None)
    assert figures.queued == Percentiles(None, None)
    assert between(same, same, "m").done == 0


def test_a_new_worker_counts_from_its_second_reading() -> None:
    figures = between(reading(100.0, 0.0, 20, 10, "old"), reading(110.0, 0.0, 1_000, 10, "new"), "m")
    assert (figures.done, figures.batch) == (0, None)


@pytest.mark.parametrize(
    ("share", "bound"),
    [
        (0.05, Bound(1.0)),
        (0.2, Bound(1.0)),
        (0.25, Bound(2.0)),
        (0.5, Bound(2.0)),
        (0.75, Bound(2.0, above=True)),
        (1.0, Bound(2.0, above=True)),
    ],
)
def test_a_percentile_is_the_upper_bound_of_its_bucket(share: float, bound: Bound) -> None:
    """Above all bounds, the figure is the highest bound and says so."""
    assert quantile_bound([(1.0, 5), (2.0, 15), (INF, 20)], share) == bound


def test_no_values_have_no_percentile() -> None:
    assert quantile_bound([], 0.5) is None
    assert quantile_bound([(1.0, 0), (INF, 0)], 0.5) is None
