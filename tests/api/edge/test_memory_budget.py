"""The budget of memory: what fits, what is refused, what is taken back from stalled clients, who waits."""

import asyncio

import pytest

from api.edge import memory_budget as module
from api.edge.memory_budget import Budget, OverBudget


def test_a_share_counts_until_it_is_released() -> None:
    budget = Budget(100)
    with budget.reserve(60) as share:
        share.resize(80)
        with pytest.raises(OverBudget):
            budget.reserve(21)
        with pytest.raises(OverBudget):
            budget.reserve(10).resize(21)
        share.resize(10)
        assert budget.held == 20
    share.release()
    assert budget.held == 10


def test_what_is_larger_than_the_budget_is_let_in_alone() -> None:
    budget = Budget(100)
    with budget.reserve(1) as share:
        with pytest.raises(OverBudget):
            budget.reserve(101)
        share.resize(200)
    with budget.reserve(101), pytest.raises(OverBudget):
        budget.reserve(1)


def test_what_is_in_memory_already_counts_without_being_refused() -> None:
    budget = Budget(100)
    with budget.hold(150), pytest.raises(OverBudget):
        budget.reserve(1)
    assert budget.held == 0


def test_a_stalled_share_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that stalled longest first, and no more of them than needed."""
    monkeypatch.setattr(module, "STALL_SECONDS", 0.0)
    budget, revoked = Budget(100), list[str]()
    first, second, third = (
        budget.reserve(30, lambda name=name: revoked.append(name))  # type: ignore[misc]
        for name in ("first", "second", "third")
    )
    for share in (second, third, first):
        share.progress()
    budget.reserve(40)
    assert (revoked, budget.held, second.size) == (["second"], 100, 0)
    first.settle()
    budget.reserve(30)
    assert (revoked, budget.held, third.size) == (["second", "third"], 100, 0)
    with pytest.raises(OverBudget):
        budget.reserve(1)
    second.release()
    first.release()
    assert budget.held == 70


def test_a_share_that_goes_on_does_not_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 3600.0)
    budget = Budget(100)
    budget.reserve(100, lambda: pytest.fail("revoked")).progress()
    with pytest.raises(OverBudget):
        budget.reserve(1)


async def test_those_that_wait_get_room_in_turn() -> None:
    budget, order = Budget(100), list[int]()
    held = budget.reserve(100)

    async def waits(number: int, size: int) -> None:
        with await budget.acquire(size, 60):
            order.append(number)

    tasks = [asyncio.create_task(waits(number, size)) for number, size in ((1, 90), (2, 20), (3, 300))]
    await asyncio.sleep(0)
    held.release()
    await asyncio.gather(*tasks)
    assert (order, budget.held) == ([1, 2, 3], 0)


async def test_whoever_waits_too_long_or_is_cancelled_holds_nothing() -> None:
    budget = Budget(100)
    with budget.reserve(90) as held:
        with pytest.raises(OverBudget):
            await budget.acquire(20, 0.01)
        large = asyncio.create_task(budget.acquire(100, 60))
        small = asyncio.create_task(budget.acquire(10, 60))
        await asyncio.sleep(0)
        assert not small.done(), "it waits behind the large one"
        large.cancel()
        (await small).release()
        granted = asyncio.create_task(budget.acquire(20, 60))
        await asyncio.sleep(0)
        held.release()
        granted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await granted
    assert budget.held == 0


async def test_a_stalled_share_gives_way_to_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 0.01)
    budget, revoked = Budget(100), list[bool]()
    budget.reserve(100, lambda: revoked.append(True))
    with await budget.acquire(50, 60):
        assert (revoked, budget.held) == ([True], 50)


def test_a_share_of_which_nothing_has_come_gives_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After those that stalled, the oldest first; one whose bytes come is safe."""
    monkeypatch.setattr(module, "STALL_SECONDS", 3600.0)
    budget, revoked = Budget(100), list[str]()
    first, second, _ = (
        budget.reserve(30, lambda name=name: revoked.append(name))  # type: ignore[misc]
        for name in ("first", "second", "third")
    )
    first.progress()
    budget.reserve(40)
    assert (revoked, second.revoked) == (["second"], True)
    budget.reserve(30)
    assert revoked == ["second", "third"]
    with pytest.raises(OverBudget):
        budget.reserve(1)


def test_small_shares_have_room_that_no_other_gets() -> None:
    """Neither a body that is large, nor answers, of which there may be more than the limit."""
    small = module.MAX_SMALL
    budget = Budget(10 * small, small=2 * small)
    with budget.hold(50 * small):
        with pytest.raises(OverBudget):
            budget.reserve(small + 1)
        first, second = budget.reserve(small), budget.reserve(small - 1)
        with pytest.raises(OverBudget):
            budget.reserve(2)
        second.resize(small)
        with pytest.raises(OverBudget, match="no free memory"):
            second.resize(small + 1)
        first.release()
        budget.reserve(small).release()
    second.resize(small + 1)
    assert budget.held == small + 1
    budget.reserve(small).resize(small // 2)
    third = budget.reserve(small, lambda: None)
    third.revoke()
    assert budget.held == small + 1


def test_a_small_share_that_waits_for_its_body_gives_way_to_another_small_one() -> None:
    small, revoked = module.MAX_SMALL, list[str]()
    budget = Budget(10 * small, small=small)
    with budget.hold(50 * small):
        budget.reserve(small, lambda: revoked.append("first"))
        budget.reserve(small)
        assert revoked == ["first"]
        assert not budget.reserve(0).revoked
