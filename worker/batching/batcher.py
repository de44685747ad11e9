"""Batcher: selects the next micro-batch from a window of items. Pure: no I/O, no clock.

The anchor of a batch is the most urgent item of the owner whose turn it is (`flows.py`), so no item and no
owner starves. Its companions have the same parameters and priority. If the model computes no padding, they
are the next in line. Otherwise they are neighbours in length, as many as cost the least, see `partition.py`.
If several owners wait, the companions are selected from what their turns would be. Remaining room goes to
other priorities if that adds little padding: then many high-priority items do not wait until each is the
anchor, and a lone one does not run alone. Those of lower priority may only make such a batch a little longer,
and while more urgent items come now and then, batches without one are half as large: the next waits for less.
"""

import heapq
import itertools
import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Generic, TypeVar

from worker.batching.flows import Flows, Item
from worker.batching.partition import Limits, cheapest, nearest, outwards

T = TypeVar("T")

_length = attrgetter("length")
_by_length = attrgetter("length", "urgency", "sequence")
_by_urgency = attrgetter("urgency", "sequence")

SORT_FROM = 64
"""From this many items on, sorting the whole line is cheaper than inserting each."""

TURNS = 4
"""Batches' worth of turns from which a batch for several owners is formed: more give less padding, and let an
owner wait longer for its share."""

RECENT = 64
"""Batches after one with a more urgent item that are smaller, because another such item may come."""

Kind = tuple[Hashable, int]
"""The group and rank of items that may share a batch."""


class Batcher(Generic[T]):
    """The window of claimed items: owners in turn, and a line of each owner, group and rank to form batches.

    `budget` is the cost of a full batch: the sum of lengths if the model `packs`, otherwise longest x count.
    `slack` is the padding, in tokens, that costs as much as one more batch; infinite if unknown. `fill` is
    the cost up to which items of lower priority than the anchor's join its batch.
    """

    def __init__(
        self,
        max_items: int,
        budget: float = math.inf,
        slack: float = math.inf,
        fill: float = math.inf,
        *,
        packs: bool = False,
    ) -> None:
        self._flows: Flows[T] = Flows()
        self._lines: dict[Kind, dict[str, list[Item[T]]]] = {}
        """Items by kind and owner, each line sorted by `_order`."""
        self._ranks: set[int] = set()
        self._recent: deque[int] = deque(maxlen=RECENT)
        """The highest priority of each of the latest batches."""
        self._sequence = itertools.count()
        self._size = self._total = 0
        """Items in the window, and the sum of their lengths."""
        self.limits = Limits(max_items, budget, slack)
        self.set_costs(budget, slack, fill, packs=packs)

    def set_costs(self, budget: float, slack: float, fill: float, *, packs: bool) -> None:
        """Sets the costs of batches; to be called before the first item is added."""
        self.limits = self.limits._replace(budget=budget, slack=slack)
        self._fill_budget = min(budget, fill)
        self._packs = packs
        self._order = _by_urgency if packs else _by_length

    def cost(self, batch: Sequence[Item[T]]) -> int:
        """Returns the tokens that the model computes."""
        lengths = map(_length, batch)
        return sum(lengths) if self._packs else max(lengths) * len(batch)

    def __len__(self) -> int:
        return self._size

    @property
    def full(self) -> bool:
        """Whether the window holds a full batch; padding and other parameters are left aside."""
        return self._size >= self.limits.items or self._total >= self.limits.budget

    @property
    def shared(self) -> bool:
        """Whether items of several owners wait."""
        return len(self._flows) > 1

    @property
    def heads(self) -> dict[str, float]:
        """The urgency of the most urgent item of each owner."""
        return {flow.owner: flow.first.urgency for flow in self._flows}

    def occupied(self, limit: int) -> int:
        """Returns how many of `limit` places are taken, if each owner has an equal part of them.

        So an owner whose job is larger than its part leaves room for the others.
        """
        if len(self._flows) < 2:
            return self._size
        part = max(1, limit // len(self._flows))
        return sum(min(flow.waiting, part) for flow in self._flows)

    def satisfied(self, limit: int) -> dict[str, float]:
        """Returns the owners with no room in their part of `limit` places, each with its most urgent item's
        urgency."""
        part = max(1, limit // max(1, len(self._flows)))
        return {flow.owner: flow.first.urgency for flow in self._flows if flow.waiting >= part}

    def anchor(self, *, cautious: bool = False) -> Item[T] | None:
        """Returns the item around which the next batch is formed; None if the window is empty."""
        if cautious:
            return self._highest_priority()
        flow = self._flows.next()
        return flow.first if flow else None

    def add(self, items: Iterable[Item[T]]) -> None:
        """Adds items of one job to the window; items that were in it before regain their places."""
        lines: dict[tuple[Kind, str], list[Item[T]]] = {}
        last: Item[T] | None = None
        for item in items:
            if item.sequence < 0:
                item.sequence = next(self._sequence)
            item.waiting = True
            self._flows.add(item)
            if last is None or item.job is not last.job or item.group is not last.group:  # for another line
                line = lines.setdefault(((item.group, item.rank), item.owner), [])
                self._ranks.add(item.rank)
                last = item
            line.append(item)
            self._size += 1
            self._total += item.length
        for (kind, owner), added in lines.items():
            line = self._lines.setdefault(kind, {}).setdefault(owner, [])
            if len(added) < SORT_FROM:
                for item in added:
                    insort(line, item, key=self._order)
            else:
                line += added
                line.sort(key=self._order)

    def discard(self, items: Iterable[Item[T]]) -> None:
        """Removes those items that are still in the window."""
        gone = [item for item in items if item.waiting]
        self._drop(gone)
        self._flows.remove(gone, served=False)

    def next_batch(self, *, cautious: bool = False) -> list[Item[T]]:
        """Takes the next micro-batch out of the window, ordered by length; empty if the window is empty.

        A cautious batch (after an engine has died) holds only items of the highest waiting priority.
        Important items then neither wait for an input that may kill the next engine, nor share its batch.
        """
        anchor = self.anchor(cautious=cautious)
        if anchor is None:
            return []
        self._flows.begin(anchor.owner)
        kind = (anchor.group, anchor.rank)
        budget = own = self.limits.budget
        if min(self._recent, default=anchor.rank) < anchor.rank:
            own = max(self._fill_budget, budget / 2)
        batch = self._next_in_line([], kind, own, anchor) if self._packs else self._span(anchor, own)
        for rank in sorted(self._ranks - {anchor.rank}) if not cautious else ():
            fill = self._next_in_line if self._packs else self._fill
            batch += fill(batch, (anchor.group, rank), budget if rank < anchor.rank else self._fill_budget)
        self._recent.append(min(item.rank for item in batch))
        return sorted(batch, key=_by_length)

    def next_item(self, *, cautious: bool = False) -> Item[T] | None:
        """Takes the anchor alone out of the window, for a model that computes any items together."""
        anchor = self.anchor(cautious=cautious)
        if anchor is not None:
            self._flows.begin(anchor.owner)
            self._take([anchor])
        return anchor

    def _next_in_line(
        self, batch: list[Item[T]], kind: Kind, budget: float, anchor: Item[T] | None = None
    ) -> list[Item[T]]:
        """Takes the next items that fit into the batch, and skips those that do not.

        The first item is always taken, so a skipped item soon becomes the anchor.
        """
        room, budget = self.limits.items - len(batch), budget - sum(map(_length, batch))
        taken: list[Item[T]] = []
        for item in self._view(kind, self.limits.items, anchor)[: self.limits.items]:
            if len(taken) == room or budget <= 0:
                break
            if item.length <= budget or not (batch or taken):
                taken.append(item)
                budget -= item.length
        return self._take(taken)

    def _span(self, anchor: Item[T], budget: float) -> list[Item[T]]:
        """Takes the anchor and its companions of the same priority."""
        limits = self.limits._replace(budget=budget)
        view = self._view((anchor.group, anchor.rank), TURNS * limits.items, anchor)
        at = view.index(anchor, bisect_left(view, anchor.length, key=_length))
        reach = 2 * int(min(limits.items, max(1, budget / anchor.length)))
        first = max(0, at - reach)  # twice a batch's reach, so that the edges of the view matter little
        lengths = [item.length for item in view[first : at + reach]]
        choose = nearest if math.isinf(limits.slack) else cheapest
        start, end = choose(lengths, at - first, limits)
        return self._take(view[first + start : first + end])

    def _fill(self, batch: list[Item[T]], kind: Kind, budget: float) -> list[Item[T]]:
        """Takes items that fit into the batch, are not longer than its longest, and add the least padding."""
        longest = max(map(_length, batch))
        room = int(min(self.limits.items, budget / longest)) - len(batch)
        if room <= 0 or kind not in self._lines:
            return []
        view = self._view(kind, room, near=longest)
        end = bisect_right(view, longest, key=_length)
        first = max(end - room, bisect_left(view, longest - self.limits.slack, key=_length))
        if first < end and view[first].length == view[end - 1].length:
            # among items of equal length, the most urgent come first
            first = bisect_left(view, view[first].length, key=_length)
            end = min(end, first + room)
        return self._take(view[first : max(first, end)])

    def _view(self, kind: Kind, count: int, anchor: Item[T] | None = None, near: int = 0) -> list[Item[T]]:
        """Returns waiting items of a kind: the line of its owner; of several owners their next `count`.

        Those of several owners are what their turns would be, with the anchor; in the order of their turns if
        the model packs, otherwise by length: of each owner those nearest in length to the anchor or `near`.
        """
        lines = self._lines.get(kind, {})
        if len(lines) == 1:
            return next(iter(lines.values()))
        near = near if anchor is None else anchor.length
        turns = []
        for owner, line in lines.items():
            items = iter(line) if self._packs else outwards(line, near)
            turns.append((self._flows[owner].time, owner, items))
        heapq.heapify(turns)
        latest = turns[0][0] + count * near if turns else 0.0
        view: list[Item[T]] = []
        while turns and len(view) < count:
            time, owner, items = turns[0]
            if time > latest and len(view) >= self.limits.items:
                break  # owners that are far ahead only fill a batch
            item = next(items, None)
            if item is None:
                heapq.heappop(turns)
                continue
            view.append(item)
            heapq.heapreplace(turns, (time + item.length / item.weight, owner, items))
        if anchor is not None and anchor not in view:
            view.append(anchor)
        return view if self._packs else sorted(view, key=_length)  # of equal length, in the order of turns

    def _highest_priority(self) -> Item[T] | None:
        """Returns the most urgent item of the highest priority; a lower one may be more urgent by now."""
        highest = min((rank for _, rank in self._lines), default=None)
        lines = [lines for (_, rank), lines in self._lines.items() if rank == highest]
        owners = {owner for each in lines for owner in each}
        owner = min(owners, key=lambda name: self._flows[name].time, default=None)
        candidates = (item for each in lines for item in each.get(owner or "", ()))
        return min(candidates, key=_by_urgency, default=None)

    def _take(self, items: list[Item[T]]) -> list[Item[T]]:
        """Removes items of one kind that are run; in the order of their line if they have one owner."""
        self._drop(items)
        self._flows.remove(items)
        return items

    def _drop(self, items: Sequence[Item[T]]) -> None:
        """Removes items from their lines."""
        if items and not self._drop_span(items):
            for item in items:
                self._drop_span([item])
        for item in items:
            item.waiting = False
        self._size -= len(items)
        self._total -= sum(map(_length, items))

    def _drop_span(self, items: Sequence[Item[T]]) -> bool:
        """Removes items that are neighbours in one line; returns whether they are."""
        first = items[0]
        kind = (first.group, first.rank)
        lines = self._lines[kind]
        line = lines[first.owner]
        at = bisect_left(line, self._order(first), key=self._order)
        if line[at : at + len(items)] != items:
            return False
        del line[at : at + len(items)]
        if not line:
            del lines[first.owner]
            if not lines:
                del self._lines[kind]
        return True
