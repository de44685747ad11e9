"""The rank test of `bench.key_timing`, on values whose result is known."""

import random

import pytest

from bench.key_timing import mann_whitney


def test_equal_values_have_no_effect() -> None:
    effect, p = mann_whitney([1, 2, 3, 4], [4, 3, 2, 1])
    assert effect == 0.5
    assert p == pytest.approx(1.0)
    assert mann_whitney([7] * 5, [7] * 9) == (0.5, 1.0)


def test_each_value_above_the_others_is_the_whole_effect() -> None:
    effect, p = mann_whitney(range(100, 200), range(100))
    assert effect == 1.0
    assert p < 1e-9


def test_a_known_example() -> None:
    """With ties; compared with scipy.stats.mannwhitneyu(method="asymptotic", use_continuity=False)."""
    effect, p = mann_whitney([1, 2, 2, 3, 5], [2, 3, 4, 6, 6, 7])
    assert effect == pytest.approx(5.5 / 30)
    assert p == pytest.approx(0.078645, abs=1e-6)


def test_a_small_shift_of_many_values_is_found() -> None:
    generator = random.Random(1)
    one = [generator.gauss(0.1, 1) for _ in range(5_000)]
    other = [generator.gauss(0, 1) for _ in range(5_000)]
    effect, p = mann_whitney(one, other)
    assert 0.51 < effect < 0.55
    assert p < 0.001
