"""Which neighbours in length share a micro-batch: spans of a sorted list of lengths. Pure.

A micro-batch costs fixed + token x longest x count. In units of a token that is slack + longest x count,
where slack = fixed / token is the padding that costs as much as one more batch.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple, TypeVar

from worker.batching.flows import Item

T = TypeVar("T")

_length = attrgetter("length")


class Limits(NamedTuple):
    """The limits of a batch."""

    items: int
    budget: float
    """Maximum of longest x count; a single item may exceed it."""
    slack: float
    """Tokens."""


def cheapest(lengths: Sequence[int], anchor: int, limits: Limits) -> tuple[int, int]:
    """Returns the anchor's part, [start, end), of the cheapest partition of sorted lengths into batches.

    Dynamic programming over the last batch of a prefix. Two facts limit the search. An item whose padding
    exceeds the slack is cheaper in another batch, and so are all shorter ones. The start of a prefix's last
    batch only moves up as the prefix grows, because longest x count satisfies the quadrangle inequality (F.
    F. Yao, Speed-up in dynamic programming, 1982).
    """
    slack = limits.slack
    costs, starts = [0.0], [0]  # of the cheapest partition of the first n lengths, and its last batch
    for end, longest in enumerate(lengths, 1):
        most = int(min(limits.items, limits.budget / longest))
        best, start = costs[end - 1] + longest, end - 1
        for first in range(end - 2, max(starts[-1], end - most) - 1, -1):
            if longest - lengths[first] > slack:
                break
            cost = costs[first] + longest * (end - first)
            if cost <= best:
                best, start = cost, first
        costs.append(best + slack)
        starts.append(start)
    end = len(lengths)
    while starts[end] > anchor:
        end = starts[end]
    return starts[end], end


def nearest(lengths: Sequence[int], anchor: int, limits: Limits) -> tuple[int, int]:
    """Extends from the anchor towards the nearer neighbour in length until the batch is full."""
    start, end = anchor, anchor + 1
    while end - start < limits.items:
        fits = limits.budget / (end - start + 1)
        shorter = lengths[anchor] - lengths[start - 1] if start > 0 and lengths[end - 1] <= fits else None
        longer = lengths[end] - lengths[anchor] if end < len(lengths) and lengths[end] <= fits else None
        if shorter is None and longer is None:
            break
        if longer is None or (shorter is not None and shorter <= longer):
            start -= 1
        else:
            end += 1
    return start, end


def outwards(line: Sequence[Item[T]], length: int) -> Iterator[Item[T]]:
    """Yields the items of a line sorted by length, the nearest in length first."""
    after = bisect_left(line, length, key=_length)
    before = after - 1
    while before >= 0 or after < len(line):
        if before < 0 or (after < len(line) and line[after].length - length <= length - line[before].length):
            yield line[after]
            after += 1
        else:
            yield line[before]
            before -= 1
