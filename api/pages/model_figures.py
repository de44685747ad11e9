"""A model's figures: jobs that wait and run now, and the work of the last minute."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from api.health.condition import responding
from api.health.failing import is_failing
from api.health.observation import Observation
from jobs.models import ModelSpec
from jobs.monitoring.failures import FailureReason, newest
from jobs.monitoring.roster import Heartbeat
from jobs.monitoring.work import Work, quantile_bound

MINUTE = 60.0


class Spread(NamedTuple):
    """Bounds of percentiles in milliseconds (`quantile_bound`), or None if no job ended."""

    p50: float | None
    p95: float | None


class Figures(NamedTuple):
    """The figures of one model. Rates are per second, shares between 0 and 1. None means unknown."""

    spec: ModelSpec
    state: str
    """The engine's state if there is one worker, else the number of workers."""
    waiting: int
    running: int
    jobs_rate: float
    items_rate: float
    queued: Spread
    compute: Spread
    batch_size: float | None
    padding: float | None
    budget: int | None
    devices: str
    dtypes: str
    backends: str
    """The libraries that compute the model, without torch."""
    threads: str
    inputs: int
    """Inputs of jobs that ended within `failing.WINDOW`."""
    failed: int
    """How many of `inputs` failed."""
    failing: bool
    """Whether too many failed."""
    failures: list[FailureReason]
    """The latest reasons of jobs that can still be read, newest first; for callers who see all jobs."""


def figures(spec: ModelSpec, seen: Observation, result_ttl: float, *, sees: str | None) -> Figures:
    """The figures of one model. `result_ttl` is the number of seconds for which a job can be read.

    `sees`: of whose jobs the caller may see errors, None for all.
    """
    depth, beats, series = seen.depths[spec.name], seen.of(spec.name), seen.history[spec.name]
    (work, seconds), ended = series.lately(MINUTE, beats), seen.work[spec.name]
    reasons = newest([reason for beat in beats for reason in beat.failures]) if sees is None else []
    return Figures(
        spec=spec,
        state=_state(beats),
        waiting=depth.waiting + depth.deferred,
        running=depth.running,
        jobs_rate=max(0.0, work.jobs / seconds) if seconds > 0 else 0.0,
        items_rate=max(0.0, work.items / seconds) if seconds > 0 else 0.0,
        queued=spread(work.queued),
        compute=spread(work.compute),
        batch_size=work.batch_size,
        padding=work.padding,
        budget=max((beat.budget for beat in beats), default=0) or None,
        devices=_each(beat.device for beat in beats),
        dtypes=_each(beat.dtype for beat in beats) or spec.dtype,
        backends=_each(beat.backend for beat in beats if beat.backend != "torch"),
        threads=_each(str(beat.threads or "") for beat in beats),
        inputs=ended.inputs,
        failed=ended.inputs_failed,
        failing=is_failing(ended),
        failures=[reason for reason in reasons if series.now - reason.at < result_ttl],
    )


def spread(counts: list[int]) -> Spread:
    """Bounds of the median and the 95th percentile of a histogram of seconds."""
    return Spread(_ms(quantile_bound(counts, 0.5)), _ms(quantile_bound(counts, 0.95)))


def of_work(work: Work, seconds: float) -> dict[str, float | None]:
    """The values of one sample for the charts."""
    queued, compute = spread(work.queued), spread(work.compute)
    return {
        "jobs_rate": work.jobs / seconds if seconds else None,
        "items_rate": work.items / seconds if seconds else None,
        "failed_rate": work.inputs_failed / seconds if seconds else None,
        "queued_p50": queued.p50,
        "queued_p95": queued.p95,
        "compute_p50": compute.p50,
        "compute_p95": compute.p95,
        "batch_size": work.batch_size,
        "padding": None if work.padding is None else 100 * work.padding,
    }


def _ms(seconds: float | None) -> float | None:
    """Milliseconds without the error of the multiplication."""
    return None if seconds is None else round(1_000 * seconds, 6)


def _state(beats: Sequence[Heartbeat]) -> str:
    if not beats:
        return "no worker"
    alive = responding(beats)
    if not alive:
        return "silent"
    return alive[0].engine if len(alive) == 1 else f"{len(alive)} workers"


def _each(names: Iterable[str]) -> str:
    return ", ".join(sorted({name for name in names if name}))
