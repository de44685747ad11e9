"""Batcher: from a window of items to the next micro-batch. Pure: no I/O, no clock.

The anchor of a batch is the most urgent item, so none starves; its companions are the items nearest to
it in length with the same parameters, so little is padded; the batch is full when its padded cost
(longest x count) reaches the token budget, or at the item limit.
"""

import heapq
import itertools
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic, TypeVar

T = TypeVar("T")

_by_length = attrgetter("length", "sequence")


@dataclass(slots=True, eq=False)
class Item(Generic[T]):
    """One input in the window. `job` and `index` say whose it is; the batcher only looks at the rest."""

    job: T
    index: int
    urgency: float
    """The lower, the sooner: the score of the job in its queue."""
    length: int
    """Tokens, or whatever the cost of a batch grows with."""
    group: Hashable
    """Only items of one group may share a batch: those with the same parameters."""
    sequence: int = field(default=0, init=False)


class Batcher(Generic[T]):
    """The window of claimed items, ordered by urgency and, within a group, by length."""

    def __init__(self, max_items: int, token_budget: int) -> None:
        self.max_items = max_items
        self.token_budget = token_budget
        self._urgent: list[tuple[float, int, Item[T]]] = []
        self._groups: dict[Hashable, list[Item[T]]] = {}
        self._sequence = itertools.count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def head(self) -> float | None:
        """The urgency of the next batch's anchor; None when the window is empty."""
        anchor = self._most_urgent()
        return anchor.urgency if anchor else None

    def add(self, items: Iterable[Item[T]]) -> None:
        """Puts items into the window."""
        for item in items:
            item.sequence = next(self._sequence)
            heapq.heappush(self._urgent, (item.urgency, item.sequence, item))
            insort(self._groups.setdefault(item.group, []), item, key=_by_length)
            self._size += 1

    def discard(self, job: T) -> None:
        """Takes a job's items out of the window."""
        for group, items in list(self._groups.items()):
            kept = [item for item in items if item.job is not job]
            self._size -= len(items) - len(kept)
            self._keep(group, kept)

    def next_batch(self) -> list[Item[T]]:
        """Takes the next micro-batch out of the window, in order of length; empty when the window is."""
        anchor = self._most_urgent()
        if anchor is None:
            return []
        items = self._groups[anchor.group]
        first, end = self._span(items, anchor)
        batch = items[first:end]
        self._size -= len(batch)
        self._keep(anchor.group, items[:first] + items[end:])
        return batch

    def _most_urgent(self) -> Item[T] | None:
        while self._urgent:
            item = self._urgent[0][2]
            if self._holds(item):
                return item
            heapq.heappop(self._urgent)  # went along with an earlier batch, or was discarded
        return None

    def _holds(self, item: Item[T]) -> bool:
        items = self._groups.get(item.group, [])
        at = bisect_left(items, _by_length(item), key=_by_length)
        return at < len(items) and items[at] is item

    def _span(self, items: list[Item[T]], anchor: Item[T]) -> tuple[int, int]:
        """Grows from the anchor towards the nearer neighbour in length while the batch is not full."""
        first = bisect_left(items, _by_length(anchor), key=_by_length)
        end = first + 1
        while end - first < self.max_items:
            shorter = anchor.length - items[first - 1].length if first > 0 else None
            longer = items[end].length - anchor.length if end < len(items) else None
            if longer is not None and not self._fits(items[end].length, end - first + 1):
                longer = None
            if shorter is not None and not self._fits(items[end - 1].length, end - first + 1):
                shorter = None
            if shorter is None and longer is None:
                break
            if longer is None or (shorter is not None and shorter <= longer):
                first -= 1
            else:
                end += 1
        return first, end

    def _fits(self, longest: int, count: int) -> bool:
        return longest * count <= self.token_budget

    def _keep(self, group: Hashable, items: list[Item[T]]) -> None:
        if items:
            self._groups[group] = items
        else:
            self._groups.pop(group, None)
