"""Finds the highest rate that passes: by doubling up to one that fails, then by halving what lies between."""

import math
from collections.abc import Callable

LOWEST = 1 / 8
"""Of the first rate: below that nothing is tried."""
HIGHEST = 2.0**20


def highest(passes: Callable[[float], bool], first: float, near: float = 1.1) -> float | None:
    """The highest rate that passed, once the lowest that failed is at most `near` times that.

    None when not even the lowest passed. A rate fails only when it fails twice: a machine has bad moments,
    and one of them must not end the search.
    """

    def good(rate: float) -> bool:
        return passes(rate) or passes(rate)

    low = first
    while not good(low):
        low /= 2
        if low < first * LOWEST:
            return None
    high = 2 * low
    if low == first:
        while high < HIGHEST and good(high):
            low, high = high, 2 * high
    while high / low > near:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if good(middle) else (low, middle)
    return low
