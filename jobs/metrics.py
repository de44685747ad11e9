"""Every metric, declared once: what the API counts itself, and what a scrape reads from the ledger.

Nothing is registered globally: each process passes its registry. Workers have no endpoint of their own;
they report in their heartbeats, and the API shows those of every live worker.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from jobs.leasing import Depth
from jobs.workers import Heartbeat

disable_created_metrics()  # type: ignore[no-untyped-call]

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds; up to the longest wait."""


class ApiMetrics:
    """What one API process counts."""

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
        self.waits = Counter(
            "batchline_waits",
            "Waits for a job by how they ended: terminal, deadline, shutdown or hung_up",
            ["outcome"],
            registry=registry,
        )
        self.waiters = Gauge(
            "batchline_waiters",
            "Requests and event streams that watch a job now",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.latency = Histogram(
            "batchline_http_request_seconds",
            "Time until the response started, with any wait asked for",
            ["method", "route", "status"],
            buckets=LATENCIES,
            registry=registry,
        )
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        if not self._shared:  # what one process takes, of several, tells nothing
            ProcessCollector(namespace="batchline_api", registry=registry)

    def exposition(self) -> bytes:
        """In Prometheus' text format: what this process counted, or all that share its port."""
        registry = self.registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


DEPTHS = ("waiting", "deferred", "running")

WORKER_COUNTERS = {
    "items": "Inputs run",
    "batches": "Micro-batches run",
    "tokens": "Tokens run, without padding",
    "padded_tokens": "Tokens run, with padding",
    "compute_seconds": "Seconds that the engine computed",
    "starved_seconds": "Seconds that the engine had nothing to compute while inputs waited in the window",
    "engine_restarts": "Engines that died or hung and were started again",
    "lost_leases": "Leases that ran out under the worker",
    "refused_results": "Results that came after their lease was lost",
}
WORKER_GAUGES = {
    "leases": "Jobs claimed and not finished",
    "window": "Inputs claimed and not yet in the engine",
    "items_per_second": "Inputs run per second of computing, a moving average",
}


class LedgerCollector(Collector):
    """One scrape's view of the queue and of the live workers; `depths` is None while Redis is away."""

    def __init__(self, depths: Mapping[str, Depth] | None, workers: Sequence[Heartbeat]) -> None:
        self._depths = depths
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("batchline_redis_up", "Whether Redis answered this scrape")
        up.add_metric([], float(self._depths is not None))
        yield up
        if self._depths is not None:
            yield from _queues(self._depths)
            yield from _workers(self._depths, self._workers)


def _queues(depths: Mapping[str, Depth]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("batchline_queue_jobs", "Unfinished jobs", labels=["model", "state"])
    size = GaugeMetricFamily("batchline_queue_bytes", "Bytes of unfinished payloads", labels=["model"])
    for model, depth in depths.items():
        for state in DEPTHS:
            jobs.add_metric([model, state], getattr(depth, state))
        size.add_metric([model], depth.bytes)
    yield from (jobs, size)


def _workers(models: Mapping[str, Depth], beats: Sequence[Heartbeat]) -> Iterator[Metric]:
    live = GaugeMetricFamily("batchline_workers", "Live workers", labels=["model"])
    for model in models:
        live.add_metric([model], sum(beat.model == model for beat in beats))
    yield live
    labels = ["model", "worker"]
    for field, told in WORKER_COUNTERS.items():
        counter = CounterMetricFamily(f"batchline_worker_{field}", told, labels=labels)
        for beat in beats:
            counter.add_metric([beat.model, beat.id], getattr(beat, field))
        yield counter
    for field, told in WORKER_GAUGES.items():
        gauge = GaugeMetricFamily(f"batchline_worker_{field}", told, labels=labels)
        for beat in beats:
            gauge.add_metric([beat.model, beat.id], getattr(beat, field))
        yield gauge
    ended = CounterMetricFamily(
        "batchline_worker_jobs", "Jobs ended by the worker", labels=[*labels, "state"]
    )
    for beat in beats:
        for state, count in beat.jobs.items():
            ended.add_metric([beat.model, beat.id, state], count)
    yield ended
