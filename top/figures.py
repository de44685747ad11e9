"""Figures: rates and bounds of percentiles, computed from two readings. No I/O.

Workers report once a second, so rates are computed per worker: the difference of its counters between its
two heartbeats, divided by the time between them. Workers in only one of the readings are skipped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from top.readings import Reading, Series

WORKER_PREFIX = "batchline_worker_"


class Bound(NamedTuple):
    """A percentile is at most `seconds`; with `above`, it is more than these, the server's highest bound."""

    seconds: float
    above: bool = False


@dataclass(frozen=True)
class Percentiles:
    """None if no job was counted."""

    p50: Bound | None
    p95: Bound | None


@dataclass(frozen=True)
class Figures:
    """Work of a model's workers between two readings; None for values without data."""

    done: float
    """Ended jobs per second, in any terminal state."""
    queued: Percentiles
    compute: Percentiles
    batch: float | None
    """Mean inputs in a micro-batch."""
    padding: float | None
    """Share of padding among the tokens that were run, 0 to 1."""
    failed: float | None
    """Share of failed inputs among those of jobs that ended, 0 to 1."""


def between(old: Reading, new: Reading, model: str) -> Figures:
    """Returns the model's figures."""
    workers = [key[1] for key in new.metrics.get(WORKER_PREFIX + "start_time_seconds", {}) if key[0] == model]
    spans = {worker: span for worker in workers if (span := _span(old, new, model, worker)) is not None}

    def counted(name: str, worker: str) -> float:
        return _total(new.metrics.get(WORKER_PREFIX + name, {}), model, worker) - _total(
            old.metrics.get(WORKER_PREFIX + name, {}), model, worker
        )

    def counted_by_all(name: str) -> float:
        return sum(counted(name, worker) for worker in spans)

    def percentiles(name: str) -> Percentiles:
        buckets = _buckets(old, new, f"{WORKER_PREFIX}{name}_bucket", model, list(spans))
        return Percentiles(quantile_bound(buckets, 0.5), quantile_bound(buckets, 0.95))

    batches, padded = counted_by_all("batches_total"), counted_by_all("padded_tokens_total")
    inputs = counted_by_all("inputs_total")
    return Figures(
        done=sum(counted("jobs_total", worker) / span for worker, span in spans.items() if span > 0),
        queued=percentiles("job_queued_seconds"),
        compute=percentiles("job_compute_seconds"),
        batch=counted_by_all("items_total") / batches if batches else None,
        padding=1 - counted_by_all("tokens_total") / padded if padded else None,
        failed=counted_by_all("inputs_failed_total") / inputs if inputs else None,
    )


def quantile_bound(buckets: Sequence[tuple[float, float]], share: float) -> Bound | None:
    """Returns the upper bound of the bucket with the quantile, as the server's pages show it.

    `buckets` are pairs of a bound and the number of values not above it. The bounds rise to infinity.
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    rank = min(total, math.floor(share * total) + 1)
    highest = max((bound for bound, _ in buckets if math.isfinite(bound)), default=0.0)
    bound = next(bound for bound, upto in buckets if upto >= rank)
    return Bound(bound) if math.isfinite(bound) else Bound(highest, above=True)


def _span(old: Reading, new: Reading, model: str, worker: str) -> float | None:
    """Returns the seconds between the worker's heartbeats in the two readings."""
    name = WORKER_PREFIX + "heartbeat_age_seconds"
    before, now = old.metrics.get(name, {}), new.metrics.get(name, {})
    if (model, worker) not in before or (model, worker) not in now:
        return None
    return (new.at - now[model, worker]) - (old.at - before[model, worker])


def _total(series: Series, model: str, worker: str) -> float:
    return sum(value for key, value in series.items() if key[:2] == (model, worker))


def _buckets(
    old: Reading, new: Reading, name: str, model: str, workers: Sequence[str]
) -> list[tuple[float, float]]:
    before, now = old.metrics.get(name, {}), new.metrics.get(name, {})
    summed: dict[float, float] = {}
    for (of_model, worker, bound), count in now.items():
        if of_model == model and worker in workers:
            at = float(bound)
            summed[at] = summed.get(at, 0.0) + count - before.get((model, worker, bound), 0.0)
    return sorted(summed.items())
