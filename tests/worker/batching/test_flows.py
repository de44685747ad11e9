"""Owners take turns in the window: by their weights, whatever each sent, and batches are still full."""

from collections import Counter
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.batching.batcher import Batcher
from worker.batching.flows import Item

numbers = count()


def items(owner: str, lengths: Sequence[int], *, weight: float = 1.0, rank: int = 0) -> list[Item[str]]:
    return [Item(owner, 0, next(numbers), length, "", rank, owner, weight) for length in lengths]


def batcher(*, packs: bool = False, max_items: int = 8) -> Batcher[str]:
    return Batcher[str](max_items, 8 * 10, 10, packs=packs)


def work(batch: Sequence[Item[str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for item in batch:
        found[item.owner] += item.length
    return found


@pytest.mark.parametrize("packs", [False, True])
def test_a_lone_item_is_in_the_next_batch(packs: bool) -> None:
    window = batcher(packs=packs)
    window.add(items("flood", [10] * 1_000))
    window.next_batch()
    window.add(items("lone", [10]))
    assert work(window.next_batch())["lone"] == 10


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("owners", [2, 10, 100])
def test_owners_get_equal_work(packs: bool, owners: int) -> None:
    """Also if some have long items and others short ones, and many or few of them in the window."""
    window = batcher(packs=packs)
    names = [f"owner{i}" for i in range(owners)]
    served: Counter[str] = Counter()
    waiting = Counter(dict.fromkeys(names, 0))
    for _ in range(30 * owners):
        for i, name in enumerate(names):
            if waiting[name] == 0:
                new = items(name, [2 + i % 7] * (100 if i % 2 else 9))
                waiting[name] += len(new)
                window.add(new)
        batch = window.next_batch()
        waiting.subtract(item.owner for item in batch)
        served += work(batch)
    share = sum(served.values()) / owners
    assert jain([served[name] for name in names]) > 0.98
    assert min(served[name] for name in names) > 0.7 * share


def jain(shares: Sequence[float]) -> float:
    """Jain's fairness index: 1 if all shares are equal, 1/n if one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


@pytest.mark.parametrize("packs", [False, True])
def test_a_weight_is_a_share(packs: bool) -> None:
    window = batcher(packs=packs)
    window.add(items("one", [5] * 1_000))
    window.add(items("three", [5] * 1_000, weight=3.0))
    served: Counter[str] = Counter()
    for _ in range(50):
        served += work(window.next_batch())
    assert 2.5 < served["three"] / served["one"] < 3.5


@pytest.mark.parametrize("packs", [False, True])
def test_batches_of_lone_items_are_full(packs: bool) -> None:
    """A hundred owners with one item each, of different lengths, do not make a hundred batches."""
    window = Batcher[str](8, 8 * 30, 30, packs=packs)
    for i in range(100):
        window.add(items(f"owner{i}", [1 + i % 30]))
    batches = 0
    while window.next_batch():
        batches += 1
    assert batches <= 25


def test_an_idle_owner_saves_nothing_up() -> None:
    window = batcher()
    window.add(items("busy", [5] * 1_000))
    for _ in range(20):
        window.next_batch()
    window.add(items("idle", [5] * 1_000))
    served: Counter[str] = Counter()
    for _ in range(20):
        served += work(window.next_batch())
    assert 0.8 < served["idle"] / served["busy"] < 1.25


def test_what_an_owner_was_served_counts_when_it_returns() -> None:
    """Else an owner of small jobs, whose items are never in the window for long, would be served twice."""
    window = batcher(max_items=1)
    window.add(items("steady", [1] * 1_000))
    served: Counter[str] = Counter()
    returning = 0
    for _ in range(400):
        if not returning:
            window.add(items("returning", [10]))
            returning = 1
        batch = window.next_batch()
        returning -= sum(item.owner == "returning" for item in batch)
        served += work(batch)
    assert 0.8 < served["returning"] / served["steady"] < 1.25


def test_priority_holds_within_an_owner() -> None:
    window = batcher(max_items=1, packs=True)
    low = Item("low", 0, 5.0, 1, "", 2, "a")
    high = Item("high", 0, 1.0, 1, "", 0, "a")
    other = Item("other", 0, 9.0, 1, "", 2, "b")
    window.add([low])
    window.add([other])
    window.add([high])
    order = [window.next_batch()[0].job for _ in range(3)]
    assert order.index("high") < order.index("low")
    assert set(order[:2]) == {"high", "other"}


def test_parts_of_the_window() -> None:
    window = batcher()
    window.add(items("a", [1] * 100))
    assert (window.occupied(64), window.shared) == (100, False)
    window.add(items("b", [1] * 5))
    assert window.occupied(64) == 32 + 5
    assert set(window.satisfied(64)) == {"a"}
    assert set(window.heads) == {"a", "b"}


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 60), st.integers(0, 2), st.sampled_from("xy")),
        max_size=60,
    ),
    st.booleans(),
    st.booleans(),
)
def test_every_item_is_in_one_batch(
    given_items: list[tuple[str, int, int, str]], packs: bool, cautious: bool
) -> None:
    window = Batcher[int](8, 100, 20, packs=packs)
    for number, (owner, length, rank, group) in enumerate(given_items):
        window.add([Item(number, 0, number, length, group, rank, owner)])
    left = set(range(len(given_items)))
    if given_items:
        window.discard([])
    while batch := window.next_batch(cautious=cautious):
        jobs = {item.job for item in batch}
        assert jobs <= left
        assert len(jobs) == len(batch) <= 8
        assert len({item.group for item in batch}) == 1
        assert len(batch) == 1 or window.cost(batch) <= 100
        left -= jobs
    assert not left
    assert len(window) == 0
    assert not window._lines
    assert len(window._flows) == 0
