"""Priorities: their names, their order in a worker's window, their head start in a queue."""

from typing import Literal, get_args

Priority = Literal["high", "normal", "low"]

_ORDER: tuple[Priority, ...] = get_args(Priority)


def rank(priority: object) -> int:
    """0 for the highest. What is no priority counts as the lowest: a stock arq client sends none."""
    return _RANKS.get(str(priority), len(_ORDER) - 1)


def head_starts(priority: Priority) -> int:
    """By how many times `head_start` the job goes ahead in its queue.

    None for the lowest: a score must not lie in the future.
    """
    return len(_ORDER) - 1 - _RANKS[priority]


_RANKS: dict[str, int] = {priority: rank for rank, priority in enumerate(_ORDER)}
