"""The cheapest partition of a window, against trying all of them, and what it saves."""

import math
import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.batching.batcher import Batcher
from worker.batching.flows import Item
from worker.batching.partition import Limits, cheapest, nearest

lists = st.lists(st.integers(1, 40), min_size=1, max_size=12).map(sorted)
limits = st.builds(
    Limits, st.integers(1, 12), st.sampled_from([60.0, 150.0, math.inf]), st.integers(0, 50).map(float)
)


def lowest_cost(lengths: Sequence[int], limits: Limits) -> float:
    """The cost of the best of all partitions into neighbours, by trying every first batch."""

    @cache
    def rest(start: int) -> float:
        if start == len(lengths):
            return 0.0
        costs = []
        for end in range(start + 1, min(len(lengths), start + limits.items) + 1):
            padded = lengths[end - 1] * (end - start)
            if padded <= limits.budget or end == start + 1:
                costs.append(limits.slack + padded + rest(end))
        return min(costs)

    return rest(0)


@settings(max_examples=300)
@given(lists, limits, st.data())
def test_the_anchors_batch_is_part_of_a_cheapest_partition(
    lengths: list[int], limits: Limits, data: st.DataObject
) -> None:
    anchor = data.draw(st.integers(0, len(lengths) - 1))
    start, end = cheapest(lengths, anchor, limits)
    assert start <= anchor < end
    assert end - start <= limits.items
    padded = lengths[end - 1] * (end - start)
    assert padded <= limits.budget or end - start == 1
    around = lowest_cost(lengths[:start], limits) + lowest_cost(lengths[end:], limits)
    assert around + limits.slack + padded == lowest_cost(lengths, limits)


@given(lists, st.integers(0, 150), st.data())
def test_no_companion_costs_more_than_a_batch_of_its_own(
    lengths: list[int], slack: int, data: st.DataObject
) -> None:
    anchor = data.draw(st.integers(0, len(lengths) - 1))
    start, end = cheapest(lengths, anchor, Limits(100, math.inf, slack))
    for count, (length, longer) in enumerate(pairwise(lengths[start:end]), 1):
        assert count * (lengths[end - 1] - length) <= slack, (length, longer)


def test_a_short_anchor_takes_no_far_longer_companion() -> None:
    assert cheapest([5, 80, 90], 0, Limits(32, 512, 25)) == (0, 1)
    assert nearest([5, 80, 90], 0, Limits(32, 512, math.inf)) == (0, 3), "as it was when no cost is known"


def drained(lengths: Sequence[int], limits: Limits) -> float:
    """The cost of emptying a window whose items came in this order."""
    batcher = Batcher[int](*limits)
    batcher.add(Item(number, 0, number, length, "") for number, length in enumerate(lengths))
    cost = 0.0
    while batch := batcher.next_batch():
        cost += batch[-1].length * len(batch)
        cost += 0 if math.isinf(limits.slack) else limits.slack
    return cost


def texts(count: int, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [2 + round(1.3 * min(max(chance.lognormvariate(math.log(20), 0.9), 2), 250)) for _ in range(count)]


@pytest.mark.parametrize("slack", [10.0, 25.0, 200.0])
@pytest.mark.parametrize(("items", "budget"), [(32, 512.0), (128, 4096.0)])
def test_a_full_window_is_emptied_at_nearly_the_least_cost(slack: float, items: int, budget: float) -> None:
    """Batches follow urgency and look no farther than they reach; that costs next to nothing."""
    bounds = Limits(items, budget, slack)
    for seed in range(3):
        lengths = texts(256, seed)
        assert drained(lengths, bounds) <= 1.05 * lowest_cost(sorted(lengths), bounds)


def operations(work: Callable[[], object]) -> int:
    """Comparisons of lengths that the work takes: a measure that no busy machine disturbs."""
    Counted.compared = 0
    work()
    return Counted.compared


class Counted(int):
    compared = 0

    def __lt__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) < int(other)


def test_a_window_of_ten_thousand_is_filled_and_emptied_in_far_fewer_steps_than_its_square() -> None:
    size = 10_000
    batcher = Batcher[int](32, 512.0, 25.0)
    jobs = [
        [Item(job, index, job, Counted(length), "") for index, length in enumerate(texts(1_000, job))]
        for job in range(size // 1_000)
    ]

    def all_of_it() -> None:
        for job in jobs:
            batcher.add(job)
        batcher.discard(jobs[-1])
        while batcher.next_batch():
            pass

    assert operations(all_of_it) < 100 * size
    assert len(batcher) == 0
