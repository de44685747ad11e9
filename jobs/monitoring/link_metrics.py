"""Prometheus metrics of linked media, which an API process fetches for its clients (`api/links.py`)."""

from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter

LinkFailure = Literal["refused", "unreachable", "status", "protocol", "too_large", "timeout", "hung_up"]
"""Why a link was not fetched.

refused      it is not allowed: its host, its form, or one too many
unreachable  its host has no address that is allowed, or does not accept connections
status       another status than 200
protocol     no HTTP, or more of it than is read
too_large    beyond the limit of a medium or of a request
timeout      all links of a request took too long
hung_up      the client disconnected
"""


class LinkMetrics:
    """The metrics of one API process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fetched = Counter("batchline_links_fetched", "Linked media that were fetched", registry=registry)
        self.bytes = Counter(
            "batchline_link_bytes", "Bytes received for linked media, also for failed ones", registry=registry
        )
        self.failed = Counter(
            "batchline_links_failed",
            f"Links that were not fetched, by reason: {', '.join(get_args(LinkFailure))}",
            ["reason"],
            registry=registry,
        )

    def expect(self) -> None:
        """Starts counters at 0: Prometheus computes no rate for a series that begins with its first event."""
        for reason in get_args(LinkFailure):
            self.failed.labels(reason)
