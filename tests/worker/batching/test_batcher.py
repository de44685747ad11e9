"""The batcher's rules, one by one, and what holds for every window."""

import math

from hypothesis import given
from hypothesis import strategies as st

from worker.batching.batcher import RECENT, Batcher
from worker.batching.flows import Item


def item(job: str, length: int, urgency: float = 0, group: str = "") -> Item[str]:
    return Item(job, 0, urgency, length, group)


def ranked(job: str, length: int, urgency: float, rank: int) -> Item[str]:
    return Item(job, 0, urgency, length, "", rank)


def batch_of(batcher: Batcher[str]) -> list[str]:
    return [item.job for item in batcher.next_batch()]


def test_an_empty_window_has_no_batch() -> None:
    assert Batcher[str](4, 100).next_batch() == []


def test_the_anchor_is_the_most_urgent_and_its_companions_are_the_nearest_in_length() -> None:
    batcher = Batcher[str](3, 1000)
    batcher.add(
        [
            item("short", 1, 5),
            item("near", 11, 9),
            item("anchor", 10, 1),
            item("nearer", 9, 9),
            item("long", 90, 2),
        ]
    )
    assert batch_of(batcher) == ["nearer", "anchor", "near"]
    assert batch_of(batcher) == ["short", "long"], "long was next in urgency"
    assert len(batcher) == 0


def test_single_items_are_taken_in_order_whatever_their_group() -> None:
    batcher = Batcher[str](4, 100)
    batcher.add([item("b", 10, 2, "x"), item("c", 11, 3, "y"), item("a", 90, 1, "z")])
    batcher.add([ranked("important", 1, 9, -1)])
    assert [taken.job for _ in range(2) if (taken := batcher.next_item())] == ["a", "b"]
    assert [taken.job for _ in range(2) if (taken := batcher.next_item(cautious=True))] == ["important", "c"]
    assert batcher.next_item() is None


def test_the_padded_cost_stays_within_the_budget() -> None:
    batcher = Batcher[str](10, 30)
    batcher.add(
        [item("anchor", 10, 0), item("b", 10, 1), item("c", 10, 1), item("d", 11, 1), item("e", 1, 1)]
    )
    assert batch_of(batcher) == ["anchor", "b", "c"], "d would cost 11 x 3, a fourth 10 x 4"


def test_an_item_beyond_the_budget_runs_alone() -> None:
    batcher = Batcher[str](10, 30)
    batcher.add([item("huge", 100), item("small", 1)])
    assert batch_of(batcher) == ["huge"]


def test_other_parameters_make_another_batch() -> None:
    batcher = Batcher[str](10, 100)
    batcher.add([item("a", 5, 0, "x"), item("b", 5, 1, "y"), item("c", 5, 2, "x")])
    assert batch_of(batcher) == ["a", "c"]
    assert batch_of(batcher) == ["b"]


def test_a_discarded_job_is_in_no_batch() -> None:
    batcher = Batcher[str](10, 100)
    gone = [item("gone", 5, 0), item("gone", 6, 0, "other")]
    batcher.add([*gone, item("kept", 5, 1)])
    batcher.discard(gone)
    batcher.discard(gone)
    assert len(batcher) == 1
    assert batch_of(batcher) == ["kept"]
    batcher.discard(gone)
    assert len(batcher) == 0


def test_what_comes_back_has_its_old_place() -> None:
    batcher = Batcher[str](2, 100)
    batcher.add([item("first", 5, 1), item("second", 5, 1)])
    batch = batcher.next_batch()
    batcher.add([item("third", 5, 1)])
    batcher.add(batch)
    assert batch_of(batcher) == ["first", "second"]
    assert batch_of(batcher) == ["third"]


windows = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 20), st.sampled_from("ab")), max_size=60)


slacks = st.one_of(st.just(math.inf), st.floats(0, 100))


def test_without_padding_a_batch_is_those_that_come_next() -> None:
    batcher = Batcher[str](10, 30, packs=True)
    batcher.add([item("a", 20, 0), item("b", 1, 1), item("long", 25, 2), item("c", 9, 3), item("d", 1, 4)])
    assert batch_of(batcher) == ["b", "c", "a"], "long is passed by, d has no room"
    assert batch_of(batcher) == ["d", "long"], "who was passed by comes first"
    assert len(batcher) == 0


def test_without_padding_the_cost_is_the_sum() -> None:
    batch = [item("a", 20), item("b", 1)]
    assert Batcher[str](10, packs=True).cost(batch) == 21
    assert Batcher[str](10).cost(batch) == 40


def test_without_padding_higher_priorities_still_come_first() -> None:
    batcher = Batcher[str](3, 100, packs=True)
    batcher.add([ranked("low", 10, -20, 1), ranked("high", 10, -9, 0), ranked("other high", 90, -8, 0)])
    batcher.add([ranked("lower", 10, -7, 2)])
    assert batch_of(batcher) == ["low", "high", "lower"], "low has waited longest, and there is room"
    assert batch_of(batcher) == ["other high"]


@given(windows, st.integers(1, 16), st.integers(1, 400))
def test_without_padding_every_item_goes_once_and_every_batch_keeps_the_rules(
    window: list[tuple[int, int, str]], max_items: int, budget: int
) -> None:
    batcher = Batcher[int](max_items, budget, packs=True)
    left = dict(enumerate(window))
    batcher.add(Item(i, 0, urgency, length, group) for i, (length, urgency, group) in left.items())
    gone = [Item(-1, 0, 0.5, 1, "a")]
    batcher.add(gone)
    batcher.discard(gone)
    while batch := batcher.next_batch():
        assert len({entry.group for entry in batch}) == 1
        assert len(batch) <= max_items
        assert len(batch) == 1 or sum(entry.length for entry in batch) <= budget
        assert min(entry.urgency for entry in batch) == min(urgency for _, urgency, _ in left.values())
        for entry in batch:
            del left[entry.job]
        assert len(batcher) == len(left)
    assert left == {}


@given(windows, st.integers(1, 16), st.integers(1, 400), slacks)
def test_every_item_goes_once_and_every_batch_keeps_the_rules(
    window: list[tuple[int, int, str]], max_items: int, budget: int, slack: float
) -> None:
    batcher = Batcher[int](max_items, budget, slack)
    left = dict(enumerate(window))
    batcher.add(Item(i, 0, urgency, length, group) for i, (length, urgency, group) in left.items())
    while batch := batcher.next_batch():
        lengths = [entry.length for entry in batch]
        assert lengths == sorted(lengths)
        assert len({entry.group for entry in batch}) == 1
        assert len(batch) <= max_items
        assert len(batch) == 1 or max(lengths) * len(batch) <= budget
        assert min(entry.urgency for entry in batch) == min(urgency for _, urgency, _ in left.values())
        others = [
            length
            for i, (length, _, group) in left.items()
            if group == batch[0].group and i not in {e.job for e in batch}
        ]
        assert not [length for length in others if lengths[0] < length < lengths[-1]], (
            "companions are neighbours"
        )
        for entry in batch:
            del left[entry.job]
        assert len(batcher) == len(left)
    assert left == {}


def test_companions_of_the_anchors_priority_come_before_nearer_ones_of_a_lower() -> None:
    batcher = Batcher[str](3, 1000)
    batcher.add([ranked(f"low {i}", 10, i, 1) for i in range(5)])
    batcher.add([ranked("anchor", 10, -9, 0), ranked("short", 1, -8, 0), ranked("long", 90, -7, 0)])
    assert batch_of(batcher) == ["short", "anchor", "long"]
    assert batch_of(batcher) == ["low 0", "low 1", "low 2"], "of one length, the most urgent"


def test_lower_priorities_only_make_a_batch_a_little_longer() -> None:
    for packs in (True, False):
        batcher = Batcher[str](10, 1000, fill=30, packs=packs)
        batcher.add([ranked(f"low {i}", 10, i, 1) for i in range(20)])
        batcher.add([ranked("urgent", 10, -1, 0)])
        assert set(batch_of(batcher)) == {"urgent", "low 0", "low 1"}, "a cost of 30"
        batcher = Batcher[str](10, 1000, fill=30, packs=packs)
        batcher.add([ranked(f"waited long {i}", 10, i, 1) for i in range(4)])
        batcher.add([ranked(f"high {i}", 10, 100 + i, 0) for i in range(4)])
        assert len(batch_of(batcher)) == 8, "those of higher priority fill a batch"


def test_batches_are_smaller_while_more_urgent_items_come() -> None:
    for packs in (True, False):
        for fill, smaller in ((30, 10), (150, 15)):
            batcher = Batcher[str](1000, 200, fill=fill, packs=packs)
            batcher.add([ranked(f"low {i}", 10, i, 1) for i in range(40 + (1 + RECENT) * smaller)])
            assert len(batch_of(batcher)) == 20, "a full batch"
            batcher.add([ranked("urgent", 10, -1, 0)])
            assert "urgent" in batch_of(batcher)
            assert {len(batch_of(batcher)) for _ in range(RECENT)} == {smaller}
            assert len(batch_of(batcher)) == 20, "no urgent item for long"


def test_a_cautious_batch_is_of_the_highest_priority_only() -> None:
    for packs in (True, False):
        batcher = Batcher[str](4, 1000, packs=packs)
        batcher.add([ranked("waited long", 1, 0, 1), ranked("low", 1, 1, 2)])
        batcher.add([ranked("later", 1, 9, 0), ranked("high", 1, 8, 0)])
        anchor = batcher.anchor(cautious=True)
        assert anchor is not None
        assert anchor.job == "high"
        assert {item.job for item in batcher.next_batch(cautious=True)} == {"high", "later"}
        assert {item.job for item in batcher.next_batch(cautious=True)} == {"waited long"}
        assert {item.job for item in batcher.next_batch()} == {"low"}
        assert batcher.anchor(cautious=True) is None
