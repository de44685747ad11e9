"""Prompts and limits: the same in each run, each prompt with its own limit."""

import random

import msgspec

from bench.texts import make_texts, vocabulary

LONGEST = 64
"""Most words of a prompt; a word is a token of the model."""


class Size(msgspec.Struct):
    """Sizes and durations of the measurements."""

    rounds: int
    prompts: int
    shortest: int
    """Fewest new tokens of a prompt."""
    longest: int
    """Most new tokens of a prompt."""
    seconds: float
    """Shortest duration of each measurement of a server."""
    warm_up: float
    lone: int
    """Requests that are sent one after the other."""


FULL = Size(rounds=3, prompts=64, shortest=8, longest=128, seconds=20.0, warm_up=4.0, lone=16)
QUICK = Size(rounds=1, prompts=32, shortest=8, longest=70, seconds=4.0, warm_up=1.0, lone=4)


class Workload(msgspec.Struct):
    prompts: list[str]
    limits: list[int]
    """New tokens of each prompt; the model never ends a text before."""

    @property
    def tokens(self) -> int:
        """All new tokens."""
        return sum(self.limits)


def make_workload(size: Size) -> Workload:
    """Returns prompts in random order with distinct limits, spread evenly. Raises ValueError."""
    if size.longest - size.shortest + 1 < size.prompts:
        raise ValueError(f"{size.prompts} limits from {size.shortest} to {size.longest} cannot be distinct")
    step = (size.longest - size.shortest) / max(1, size.prompts - 1)
    limits = [size.shortest + round(step * number) for number in range(size.prompts)]
    random.Random(7).shuffle(limits)
    prompts = [" ".join(text.split()[:LONGEST]) for text in make_texts(size.prompts, seed=7)]
    return Workload(prompts, limits)


def with_beginning(size: Size, words: int, count: int, seed: int) -> Workload:
    """Returns different prompts that begin with the same words, with the limits of `make_workload`."""
    beginning = " ".join(random.Random(1).choices(vocabulary(), k=words))
    limits = make_workload(size).limits
    texts = [" ".join(text.split()[:LONGEST]) for text in make_texts(count, seed=seed)]
    return Workload(
        [f"{beginning} {text}" for text in texts], [limits[at % len(limits)] for at in range(count)]
    )


def batches(order: list[int], size: int) -> list[list[int]]:
    """Returns the numbers of the prompts of each batch, in this order."""
    return [order[first : first + size] for first in range(0, len(order), size)]


def sorted_by_limit(limits: list[int]) -> list[int]:
    """Returns the numbers of the prompts, the smallest limit first."""
    return sorted(range(len(limits)), key=limits.__getitem__)
