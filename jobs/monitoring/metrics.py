"""Every metric, declared once: the API's own counters, and values that a scrape reads from the ledger.

Nothing is registered globally: each process passes its registry. Workers have no metrics endpoint; they
report in their heartbeats, and the API exposes the values of every live worker.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from jobs.ledger.shard import Depth
from jobs.monitoring.footprints import Footprint
from jobs.monitoring.histograms import BATCH_ITEMS, LATENCIES, PADDING, cumulative
from jobs.monitoring.roster import RESTART_REASONS, Heartbeat
from jobs.problem_kinds import FAILURES
from jobs.schema import JobState
from jobs.settings import Settings

disable_created_metrics()  # type: ignore[no-untyped-call]


class ApiMetrics:
    """The metrics of one API process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.submitted = Counter(
            "batchline_jobs_submitted", "Jobs accepted by this process", ["model"], registry=registry
        )
        self.replayed = Counter(
            "batchline_jobs_replayed", "Submits answered by their idempotency key", registry=registry
        )
        self.refused = Counter(
            "batchline_requests_refused", "Requests answered with a problem", ["reason"], registry=registry
        )
        self.admissions_refused = Counter(
            "batchline_admissions_refused",
            "Jobs refused because their queue was full, by limit: jobs, bytes or inputs",
            ["model", "reason"],
            registry=registry,
        )
        self.limited = Counter("batchline_limited", "Refusals by a limit", ["policy"], registry=registry)
        self.waits = Counter(
            "batchline_waits",
            "Waits for a job, by how they ended: terminal, deadline, shutdown or hung_up",
            ["outcome"],
            registry=registry,
        )
        self.waiters = Gauge(
            "batchline_waiters",
            "Requests and event streams that currently watch a job",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.latency = Histogram(
            "batchline_http_request_seconds",
            "Time until the response started, including any wait that the client requested",
            ["method", "route", "status"],
            buckets=LATENCIES,
            registry=registry,
        )
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        if not self._shared:  # one process's resources say little if several share the port
            ProcessCollector(namespace="batchline_api", registry=registry)

    def expect(self, models: Iterable[str]) -> None:
        """Starts counters at 0: Prometheus computes no rate for a series that begins with its first event."""
        for model in models:
            self.submitted.labels(model)
            for reason in ADMISSION_LIMITS:
                self.admissions_refused.labels(model, reason)

    def exposition(self) -> bytes:
        """Returns the metrics of this process, or of all that share its port, in Prometheus' text format."""
        registry = self.registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


ADMISSION_LIMITS = ("jobs", "bytes", "inputs")

DEPTHS = ("waiting", "deferred", "running")

ENDINGS = (JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED)
"""The states in which a worker ends jobs."""

WORKER_COUNTERS = {
    "items": "Inputs run",
    "inputs": "Inputs of jobs that succeeded or failed, whether they were run or not",
    "batches": "Micro-batches run",
    "tokens": "Tokens run, without padding; 0 for a custom pipeline",
    "padded_tokens": "Tokens run, with padding",
    "compute_seconds": "Seconds that the engine computed",
    "starved_seconds": "Seconds that the engine had nothing to compute while inputs waited in the window",
    "engine_restarts": "Engine restarts, for any reason",
    "lost_leases": "Leases that expired while the worker held them",
    "refused_results": "Results refused because their lease was lost",
}
WORKER_GAUGES = {
    "leases": "Jobs claimed and not finished",
    "window": "Inputs claimed and not yet in the engine",
    "items_per_second": "Inputs run per second of computing, a moving average",
    "token_budget": "Tokens of a full micro-batch, including padding, or its JSON inputs; 0 without a limit",
    "threads": "Threads that compute one micro-batch; 0 if unknown",
    "engine_retired": "1 while the model is retired because it could not be loaded, otherwise 0",
    "heartbeat_age_seconds": "Seconds since the worker's last heartbeat",
    "start_time_seconds": "When the worker started, in Unix seconds",
}
_FIELDS = {
    "token_budget": "budget",
    "engine_retired": "retired",
    "heartbeat_age_seconds": "age",
    "start_time_seconds": "started",
}
"""Metric -> field of the heartbeat, if the names differ."""


class _Histogram(NamedTuple):
    """A heartbeat's fields with the counts and the sum, the bounds of the buckets, and the help text."""

    counts: str
    sum: str
    bounds: Sequence[float]
    help_text: str


WORKER_HISTOGRAMS = {
    "job_queued_seconds": _Histogram(
        "queued", "queued_sum", LATENCIES, "Seconds from a job's acceptance to its start, of jobs that ran"
    ),
    "job_compute_seconds": _Histogram(
        "compute",
        "compute_sum",
        LATENCIES,
        "Seconds of a job's forward passes, of jobs that ran",
    ),
    "job_total_seconds": _Histogram(
        "total",
        "total_sum",
        LATENCIES,
        "Seconds from a job's acceptance to its end, of jobs ended by the worker",
    ),
    "batch_items": _Histogram("batch_items", "items", BATCH_ITEMS, "Inputs in a micro-batch"),
    "batch_padding_ratio": _Histogram(
        "batch_padding",
        "batch_padding_sum",
        PADDING,
        "Share of padding among a micro-batch's tokens, 0 to 1",
    ),
}


class LedgerCollector(Collector):
    """One scrape's values of the queue and the live workers; each None while it cannot be read."""

    def __init__(
        self,
        depths: Mapping[str, Depth] | None,
        workers: Sequence[Heartbeat] | None,
        settings: Settings,
        footprints: Mapping[str, Footprint] = MappingProxyType({}),
        unavailable: int = 0,
    ) -> None:
        """`unavailable`: shards that did not answer."""
        self._depths = depths
        self._footprints = footprints
        self._workers = workers
        self._settings = settings
        self._unavailable = unavailable

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("batchline_redis_up", "Whether Redis answered this scrape")
        up.add_metric([], float(self._depths is not None))
        yield up
        yield GaugeMetricFamily(
            "batchline_queue_jobs_limit",
            "Unfinished jobs of one model at which more are refused",
            self._settings.max_queued_jobs,
        )
        yield GaugeMetricFamily(
            "batchline_queue_bytes_limit",
            "Bytes of one model's unfinished payloads at which more are refused",
            self._settings.max_queued_bytes,
        )
        if self._depths is not None:
            yield GaugeMetricFamily(
                "batchline_shards_unavailable",
                "Shards that did not answer this scrape: their jobs wait",
                self._unavailable,
            )
            yield from _queues(self._depths)
            yield from _finished(self._footprints)
            if self._workers is not None:
                yield from _workers(self._depths, self._workers)


def _queues(depths: Mapping[str, Depth]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("batchline_queue_jobs", "Unfinished jobs", labels=["model", "state"])
    size = GaugeMetricFamily("batchline_queue_bytes", "Bytes of unfinished payloads", labels=["model"])
    oldest = GaugeMetricFamily(
        "batchline_queue_oldest_age_seconds",
        "Seconds since the oldest waiting job was accepted, of the 64 next in line; 0 if none is waiting",
        labels=["model"],
    )
    for model, depth in depths.items():
        for state in DEPTHS:
            jobs.add_metric([model, state], getattr(depth, state))
        size.add_metric([model], depth.bytes)
        oldest.add_metric([model], depth.oldest_ms / 1000)
    yield from (jobs, size, oldest)


def _finished(footprints: Mapping[str, Footprint]) -> Iterator[Metric]:
    size = GaugeMetricFamily(
        "batchline_finished_job_bytes",
        "Memory of Redis that a finished job takes, the mean of the newest; none if none has ended recently",
        labels=["model"],
    )
    lifetime = GaugeMetricFamily(
        "batchline_finished_job_lifetime_seconds", "Seconds for which it takes it", labels=["model"]
    )
    for model, footprint in footprints.items():
        size.add_metric([model], footprint.bytes)
        lifetime.add_metric([model], footprint.seconds)
    yield from (size, lifetime)


def _workers(models: Mapping[str, Depth], beats: Sequence[Heartbeat]) -> Iterator[Metric]:
    live = GaugeMetricFamily("batchline_workers", "Live workers", labels=["model"])
    for model in models:
        live.add_metric([model], sum(beat.model == model for beat in beats))
    yield live
    labels = ["model", "worker"]
    for field, help_text in WORKER_COUNTERS.items():
        counter = CounterMetricFamily(f"batchline_worker_{field}", help_text, labels=labels)
        for beat in beats:
            counter.add_metric([beat.model, beat.id], getattr(beat, field))
        yield counter
    for field, help_text in WORKER_GAUGES.items():
        gauge = GaugeMetricFamily(f"batchline_worker_{field}", help_text, labels=labels)
        for beat in beats:
            gauge.add_metric([beat.model, beat.id], getattr(beat, _FIELDS.get(field, field)))
        yield gauge
    for name, histogram in WORKER_HISTOGRAMS.items():
        yield _histogram(name, histogram, beats)
    restarts = CounterMetricFamily(
        "batchline_worker_engine_restart_reasons",
        f"Engine restarts, by reason: {', '.join(RESTART_REASONS)}",
        labels=[*labels, "reason"],
    )
    failed = CounterMetricFamily(
        "batchline_worker_inputs_failed",
        "Inputs that failed, of batchline_worker_inputs_total, by the last part of the problem's type",
        labels=[*labels, "reason"],
    )
    ended = CounterMetricFamily(
        "batchline_worker_jobs", "Jobs ended by the worker", labels=[*labels, "state"]
    )
    for beat in beats:
        for reason, count in (dict.fromkeys(RESTART_REASONS, 0) | beat.restart_reasons).items():
            restarts.add_metric([beat.model, beat.id, reason], count)
        for reason, count in (dict.fromkeys(FAILURES, 0) | beat.inputs_failed).items():
            failed.add_metric([beat.model, beat.id, reason], count)
        counts: dict[str, int] = dict.fromkeys(ENDINGS, 0)
        for state, count in (counts | beat.jobs).items():
            ended.add_metric([beat.model, beat.id, state], count)
    yield from (restarts, failed, ended)


def _histogram(name: str, histogram: _Histogram, beats: Sequence[Heartbeat]) -> Metric:
    """Returns a histogram labelled by worker, so that a series never decreases while its worker lives."""
    family = HistogramMetricFamily(
        f"batchline_worker_{name}", histogram.help_text, labels=["model", "worker"]
    )
    for beat in beats:
        buckets = [
            (floatToGoString(bound), count)  # type: ignore[no-untyped-call]
            for bound, count in cumulative(getattr(beat, histogram.counts), histogram.bounds)
        ]
        family.add_metric([beat.model, beat.id], buckets, getattr(beat, histogram.sum))
    return family
