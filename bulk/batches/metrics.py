"""Prometheus metrics of files and batches, which are the same from every API process."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bulk.batches.figures import Figures


class BulkCollector(Collector):
    """One scrape's values; None while they cannot be read."""

    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        if (figures := self._figures) is None:
            return
        gauge = GaugeMetricFamily(
            "batchline_bulk_batches", "Batches of files that have not ended", labels=["state"]
        )
        for state, number in figures.unfinished.items():
            gauge.add_metric([state.value], number)
        yield gauge
        yield GaugeMetricFamily(
            "batchline_bulk_oldest_batch_seconds",
            "Seconds since the oldest of them was created; 0 without one",
            figures.oldest_ms / 1000,
        )
        ended = CounterMetricFamily(
            "batchline_bulk_batches_ended", "Batches of files that have ended", labels=["state"]
        )
        for state, number in figures.ended.items():
            ended.add_metric([state.value], number)
        yield ended
        lines = CounterMetricFamily(
            "batchline_bulk_lines", "Lines of batches that have an outcome", labels=["outcome"]
        )
        for outcome, number in figures.lines.items():
            lines.add_metric([outcome], number)
        yield lines
        yield GaugeMetricFamily(
            "batchline_bulk_stored_bytes", "Bytes of the files of all owners", figures.stored
        )
        yield GaugeMetricFamily(
            "batchline_bulk_processes", "Live processes that run batches", figures.processes
        )
