"""The prompts and limits, and how static batches are formed."""

import pytest

from bench.generation.offline import ALONE, strategies
from bench.generation.workload import (
    FULL,
    LONGEST,
    QUICK,
    Size,
    batches,
    make_workload,
    sorted_by_limit,
    with_beginning,
)


@pytest.mark.parametrize("size", [FULL, QUICK], ids=["full", "quick"])
def test_each_prompt_has_a_limit_of_its_own(size: Size) -> None:
    work = make_workload(size)
    assert len(work.prompts) == len(set(work.limits)) == size.prompts
    assert (min(work.limits), max(work.limits)) == (size.shortest, size.longest)
    assert work.limits != sorted(work.limits)
    assert work.tokens == sum(work.limits)
    assert all(1 <= len(prompt.split()) <= LONGEST for prompt in work.prompts)
    assert make_workload(size) == work


def test_different_prompts_begin_with_the_same_words() -> None:
    work = with_beginning(QUICK, 40, 2 * QUICK.prompts, seed=7)
    words = [prompt.split() for prompt in work.prompts]
    assert len({tuple(one[:40]) for one in words}) == 1
    assert len({tuple(one[40:]) for one in words}) == len(work.limits) == 2 * QUICK.prompts
    assert all(1 <= len(one) - 40 <= LONGEST for one in words)
    assert set(work.limits) == set(make_workload(QUICK).limits)


def test_too_few_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="64 limits from 8 to 70"):
        make_workload(Size(1, 64, 8, 70, 1.0, 1.0, 1))


def test_batches_keep_the_order() -> None:
    assert batches([3, 1, 2, 0, 4], 2) == [[3, 1], [2, 0], [4]]
    assert sorted_by_limit([30, 10, 20]) == [1, 2, 0]


def test_batches_larger_than_the_prompts_are_not_measured() -> None:
    assert strategies(64)[:4] == [ALONE, *(f"static batches of {size}" for size in (8, 32, 64))]
    assert "static batches of 64" not in strategies(32)
