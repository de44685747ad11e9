"""Flows: the owners with waiting items in the window, which take turns by start-time fair queueing. Pure.

P. Goyal, H. Vin, H. Cheng: Start-time Fair Queuing (SIGCOMM 1996). Each owner has a virtual time. The lowest
is next, and grows by the cost of what is served, divided by the owner's weight. An owner that was idle starts
at the virtual time of the item that was served last, so it has no claim to the time since then. Claims from
the queue follow the same rule with whole jobs (`turns.lua`); this one decides for each input.
"""

import heapq
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

MANY = 1_000
"""Owners without waiting items after which those whose time has passed are forgotten."""


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
    owner: str = ""
    weight: float = 1.0
    """The owner's share."""
    sequence: int = field(default=-1, init=False)
    """Its position in the order of arrival; -1 before it is added."""
    waiting: bool = field(default=False, init=False)
    """Whether it is in the window."""


@dataclass(slots=True, eq=False)
class Flow(Generic[T]):
    """The waiting items of one owner."""

    owner: str
    time: float
    """Virtual start time of its next item."""
    waiting: int = 0
    _urgent: list[tuple[float, int, Item[T]]] = field(default_factory=list)

    def add(self, item: Item[T]) -> None:
        heapq.heappush(self._urgent, (item.urgency, item.sequence, item))
        self.waiting += 1

    @property
    def first(self) -> Item[T]:
        """Its most urgent item."""
        while not (item := self._urgent[0][2]).waiting:
            heapq.heappop(self._urgent)  # taken with an earlier batch, or discarded
        return item


class Flows(Generic[T]):
    """All owners with waiting items."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow[T]] = {}
        self._now = 0.0
        self._ahead: dict[str, float] = {}
        """Owner without waiting items -> the virtual time up to which it was served, if that is to come."""

    def __len__(self) -> int:
        return len(self._flows)

    def __getitem__(self, owner: str) -> Flow[T]:
        return self._flows[owner]

    def __iter__(self) -> Iterator[Flow[T]]:
        return iter(self._flows.values())

    def add(self, item: Item[T]) -> None:
        """Adds a waiting item."""
        flow = self._flows.get(item.owner)
        if flow is None:
            start = max(self._now, self._ahead.pop(item.owner, 0.0))
            flow = self._flows[item.owner] = Flow(item.owner, start)
        flow.add(item)

    def next(self) -> Flow[T] | None:
        """Returns the owner whose turn it is."""
        if len(self._flows) > 1:
            return min(self._flows.values(), key=lambda flow: (flow.time, flow.first.urgency))
        return next(iter(self._flows.values()), None)

    def begin(self, owner: str) -> None:
        """Sets the virtual time to that of the owner whose turn begins."""
        self._now = max(self._now, self._flows[owner].time)

    def remove(self, items: Iterable[Item[T]], *, served: bool = True) -> None:
        """Removes items that no longer wait; those that are served cost their owners time."""
        for item in items:
            flow = self._flows[item.owner]
            flow.waiting -= 1
            if served:
                flow.time += item.length / item.weight
            if not flow.waiting:
                self._leave(flow)

    def _leave(self, flow: Flow[T]) -> None:
        del self._flows[flow.owner]
        self._ahead[flow.owner] = flow.time
        if not self._flows:
            self._now = max(self._now, *self._ahead.values())
            self._ahead.clear()
        elif len(self._ahead) > MANY:
            self._ahead = {owner: time for owner, time in self._ahead.items() if time > self._now}
