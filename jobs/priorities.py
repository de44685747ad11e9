"""Priorities: names, order in a worker's window, and head start in a queue."""

from typing import Literal, get_args

Priority = Literal["high", "normal", "low"]

_ORDER: tuple[Priority, ...] = get_args(Priority)


def named(name: str) -> Priority:
    """Returns the priority with that name; otherwise the lowest, because a stock arq client sends none."""
    return _ORDER[_RANKS.get(name, -1)]


def rank(priority: Priority) -> int:
    """Returns the priority's rank: 0 for the highest."""
    return _RANKS[priority]


def head_starts(priority: Priority) -> int:
    """Returns how many times `head_start` is subtracted from the job's score in its queue.

    0 for the lowest priority: a score must not be in the future.
    """
    return len(_ORDER) - 1 - _RANKS[priority]


_RANKS: dict[str, int] = {priority: rank for rank, priority in enumerate(_ORDER)}
