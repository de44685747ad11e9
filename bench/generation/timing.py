"""Rates and times of streams, from the moments at which their pieces arrived."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from bench.arrivals import percentile


class Stream(msgspec.Struct):
    """What one request received. Times are seconds on one clock."""

    number: int
    """Of its prompt."""
    due: float
    """When it was sent, or was to be sent if the load generator was late."""
    times: list[float] = []
    """When each piece arrived."""
    counts: list[int] = []
    """New tokens in each piece."""
    text: str = ""
    error: str = ""

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.due

    @property
    def gaps(self) -> list[float]:
        """Seconds between pieces; a piece of several tokens counts once, as its reader sees it."""
        return [after - before for before, after in pairwise(self.times)]


class Timing(msgspec.Struct):
    """Figures of many streams. Times are in milliseconds."""

    requests: int
    rate: float
    """Tokens per second that arrived while it was measured."""
    first_p50: float
    first_p95: float
    between_p95: float


def timing(streams: Sequence[Stream], since: float, until: float) -> Timing:
    """Returns the figures of the streams that began in this time, and of the tokens that arrived in it.

    Streams that are not complete count as far as they got. Raises ValueError if there is none.
    """
    counted = [each for each in streams if since <= each.due < until and each.times]
    if not counted or until <= since:
        raise ValueError("no stream began while it was measured")
    arrived = [
        count
        for each in streams
        for moment, count in zip(each.times, each.counts, strict=True)
        if since <= moment < until
    ]
    first = [each.first * 1000 for each in counted]
    between = [gap * 1000 for each in counted for gap in each.gaps]
    return Timing(
        requests=len(counted),
        rate=sum(arrived) / (until - since),
        first_p50=percentile(first, 50),
        first_p95=percentile(first, 95),
        between_p95=percentile(between, 95) if between else 0.0,
    )
