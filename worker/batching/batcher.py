"""Batcher: selects the next micro-batch from a window of items. Pure: no I/O, no clock.

The anchor of a batch is the most urgent item, so no item starves. Its companions have the same parameters and
priority. If the model computes no padding, they are the next in line. Otherwise they are neighbours in
length, as many as cost the least, see `partition.py`. Remaining room goes to other priorities if that adds
little padding: then many high-priority items do not wait until each is the anchor, and a lone one does not
run alone.
"""

import heapq
import itertools
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic, TypeVar

from worker.batching.partition import Limits, cheapest, nearest

T = TypeVar("T")

_length = attrgetter("length")
_by_length = attrgetter("length", "urgency", "sequence")
_by_urgency = attrgetter("urgency", "sequence")

SORT_FROM = 64
"""From this many items on, sorting the whole group is cheaper than inserting each."""


@dataclass(slots=True, eq=False)
class Item(Generic[T]):
    """One input in the window. The batcher ignores `job` and `index`, which identify the input."""

    job: T
    index: int
    urgency: float
    """The score of the job in its queue; a lower value is more urgent."""
    length: int
    """Tokens, or another measure of the cost."""
    group: Hashable
    """Only items of one group may share a batch: those with the same parameters."""
    rank: int = 0
    """Its priority, 0 for the highest."""
    sequence: int = field(default=-1, init=False)
    """Its position in the order of arrival; -1 before it is added."""
    waiting: bool = field(default=False, init=False)
    """Whether it is in the window."""


class Batcher(Generic[T]):
    """The window of claimed items: one order by urgency, and one in each group and rank for forming batches.

    `budget` is the cost of a full batch: the sum of lengths if the model `packs`, otherwise longest x count.
    `slack` is the padding, in tokens, that costs as much as one more batch; infinite if unknown.
    """

    def __init__(
        self, max_items: int, budget: float = math.inf, slack: float = math.inf, *, packs: bool = False
    ) -> None:
        self._urgent: list[tuple[float, int, Item[T]]] = []
        self._groups: dict[tuple[Hashable, int], list[Item[T]]] = {}
        self._ranks: set[int] = set()
        self._sequence = itertools.count()
        self._size = 0
        self.limits = Limits(max_items, budget, slack)
        self.set_costs(budget, slack, packs=packs)

    def set_costs(self, budget: float, slack: float, *, packs: bool) -> None:
        """Sets the costs of batches; to be called before the first item is added."""
        self.limits = self.limits._replace(budget=budget, slack=slack)
        self._packs = packs
        self._order = _by_urgency if packs else _by_length

    def cost(self, batch: Sequence[Item[T]]) -> int:
        """Returns the tokens that the model computes."""
        lengths = map(_length, batch)
        return sum(lengths) if self._packs else max(lengths) * len(batch)

    def __len__(self) -> int:
        return self._size

    @property
    def head(self) -> float | None:
        """The urgency of the next batch's anchor; None if the window is empty."""
        anchor = self.anchor()
        return anchor.urgency if anchor else None

    def anchor(self, *, cautious: bool = False) -> Item[T] | None:
        """Returns the item around which the next batch is formed; None if the window is empty."""
        return self._highest_priority() if cautious else self._most_urgent()

    def add(self, items: Iterable[Item[T]]) -> None:
        """Adds items of one job to the window; items that were in it before regain their places."""
        groups: dict[tuple[Hashable, int], list[Item[T]]] = {}
        for item in items:
            if item.sequence < 0:
                item.sequence = next(self._sequence)
            item.waiting = True
            heapq.heappush(self._urgent, (item.urgency, item.sequence, item))
            groups.setdefault((item.group, item.rank), []).append(item)
            self._ranks.add(item.rank)
            self._size += 1
        for group, added in groups.items():
            waiting = self._groups.setdefault(group, [])
            if len(added) < SORT_FROM:
                for item in added:
                    insort(waiting, item, key=self._order)
            else:
                waiting += added
                waiting.sort(key=self._order)

    def discard(self, items: Iterable[Item[T]]) -> None:
        """Removes those items that are still in the window."""
        for item in items:
            if item.waiting:
                group = (item.group, item.rank)
                at = bisect_left(self._groups[group], self._order(item), key=self._order)
                self._take(group, at, at + 1)

    def next_batch(self, *, cautious: bool = False) -> list[Item[T]]:
        """Takes the next micro-batch out of the window, ordered by length; empty if the window is empty.

        A cautious batch (after an engine has died) holds only items of the highest waiting priority.
        Important items then neither wait for an input that may kill the next engine, nor share its batch.
        """
        anchor = self.anchor(cautious=cautious)
        if anchor is None:
            return []
        group = (anchor.group, anchor.rank)
        batch = self._next_in_line([], group) if self._packs else self._span(anchor)
        for rank in sorted(self._ranks - {anchor.rank}) if not cautious else ():
            fill = self._next_in_line if self._packs else self._fill
            batch += fill(batch, (anchor.group, rank))
        return sorted(batch, key=_by_length)

    def _next_in_line(self, batch: list[Item[T]], group: tuple[Hashable, int]) -> list[Item[T]]:
        """Takes the most urgent items that fit into the batch, and skips those that do not.

        The first item is always taken, so a skipped item soon becomes the anchor.
        """
        room, budget = self.limits.items - len(batch), self.limits.budget - sum(map(_length, batch))
        waiting = self._groups.get(group, [])
        taken: list[Item[T]] = []
        left: list[Item[T]] = []
        for item in itertools.islice(waiting, self.limits.items):
            if len(taken) == room or budget <= 0:
                break
            if item.length <= budget or not (batch or taken):
                taken.append(item)
                budget -= item.length
            else:
                left.append(item)
        seen = len(taken) + len(left)
        if left:  # move them to the front, so that the taken items are adjacent
            waiting[:seen] = taken + left
        return self._take(group, 0, len(taken)) if taken else []

    def _span(self, anchor: Item[T]) -> list[Item[T]]:
        """Takes the anchor and its companions of the same priority."""
        group = (anchor.group, anchor.rank)
        waiting = self._groups[group]
        at = bisect_left(waiting, _by_length(anchor), key=_by_length)
        reach = 2 * int(min(self.limits.items, max(1, self.limits.budget / anchor.length)))
        first = max(0, at - reach)  # twice a batch's reach, so that the edges of the view matter little
        lengths = [item.length for item in waiting[first : at + reach]]
        choose = nearest if math.isinf(self.limits.slack) else cheapest
        start, end = choose(lengths, at - first, self.limits)
        return self._take(group, first + start, first + end)

    def _fill(self, batch: list[Item[T]], others: tuple[Hashable, int]) -> list[Item[T]]:
        """Takes items that fit into the batch, are not longer than its longest, and add the least padding."""
        longest = max(map(_length, batch))
        room = int(min(self.limits.items, self.limits.budget / longest)) - len(batch)
        waiting = self._groups.get(others)
        if waiting is None or room <= 0:
            return []
        end = bisect_right(waiting, longest, key=_length)
        first = max(end - room, bisect_left(waiting, longest - self.limits.slack, key=_length))
        if first < end and waiting[first].length == waiting[end - 1].length:
            # among items of equal length, the most urgent come first
            first = bisect_left(waiting, waiting[first].length, key=_length)
            end = min(end, first + room)
        return self._take(others, first, max(first, end))

    def _most_urgent(self) -> Item[T] | None:
        while self._urgent:
            item = self._urgent[0][2]
            if item.waiting:
                return item
            heapq.heappop(self._urgent)  # taken with an earlier batch, or discarded
        return None

    def _highest_priority(self) -> Item[T] | None:
        """Returns the most urgent item of the highest priority; a lower one may be more urgent by now."""
        highest = min((rank for _, rank in self._groups), default=None)
        candidates = (item for (_, rank), items in self._groups.items() if rank == highest for item in items)
        return min(candidates, key=_by_urgency, default=None)

    def _take(self, group: tuple[Hashable, int], first: int, end: int) -> list[Item[T]]:
        waiting = self._groups[group]
        taken = waiting[first:end]
        for item in taken:
            item.waiting = False
        self._size -= len(taken)
        if len(taken) == len(waiting):
            del self._groups[group]
        else:
            del waiting[first:end]
        return taken
