"""Priorities: their names, their order in a worker's window, their head start in a queue."""

from typing import Literal, get_args

Priority = Literal["high", "normal", "low"]

_ORDER: tuple[Priority, ...] = get_args(Priority)


def named(name: str) -> Priority:
    """The priority of that name; the lowest where there is none, as a stock arq client sends none."""
    return _ORDER[_RANKS.get(name, -1)]


def rank(priority: Priority) -> int:
    """0 for the highest."""
    return _RANKS[priority]


def head_starts(priority: Priority) -> int:
    """By how many times `head_start` the job goes ahead in its queue.

    None for the lowest: a score must not lie in the future.
    """
    return len(_ORDER) - 1 - _RANKS[priority]


_RANKS: dict[str, int] = {priority: rank for rank, priority in enumerate(_ORDER)}
