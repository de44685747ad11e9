"""Prometheus metrics of webhooks. An API process reads them from Redis: they are the same from every one."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hooks.deliveries import COUNTED
from hooks.service import Figures


class HookCollector(Collector):
    """One scrape's values; None while they cannot be read."""

    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        if self._figures is None:
            return
        yield GaugeMetricFamily(
            "batchline_webhook_outbox_entries",
            "Ends of jobs and batches that no sender of webhooks has taken yet",
            self._figures.entries,
        )
        yield GaugeMetricFamily(
            "batchline_webhook_oldest_due_seconds",
            "Seconds for which the oldest of these has waited, or the delivery that is due for longest",
            self._figures.oldest_ms / 1000,
        )
        counter = CounterMetricFamily(
            "batchline_webhook_deliveries",
            f"Tries of deliveries and what was lost, by outcome: {', '.join(COUNTED)}",
            labels=["outcome"],
        )
        for outcome in COUNTED:
            counter.add_metric([outcome], self._figures.counts[outcome])
        yield counter
