"""Computes prompts: those of similar length together, what they share once, and long ones in pieces.

A pass computes the last tokens of some prompts on top of the positions before them. It takes equally many of
each, so that nothing is padded between the two: a prompt with fewer of them computes some known ones again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from worker.engine.pipelines.text.continuous.forward import Forward
from worker.engine.pipelines.text.continuous.prefixes import Layers, Prefixes, Tokens
from worker.engine.pipelines.text.padding import pad_left

PIECE = 512
"""Most tokens of a piece. Running rows wait for one piece at a time."""
MAX_PASS_TOKENS = 2_048
"""Most tokens, padding included, of prompts that share a pass."""
MAX_PASS_POSITIONS = 8_192
"""Most positions of such a pass with those before its tokens, of which it copies keys and values."""
MAX_PADDING = 0.25
"""Largest share of padding, or of tokens that are computed again, in such a pass."""


@dataclass(eq=False)
class Prompt:
    """A prompt that is to join, and what is known of it."""

    tokens: Sequence[int]
    end: int
    """The most positions that its row will have."""
    done: int = 0
    """Positions that were computed in pieces."""
    parts: Sequence[Layers] = ()
    """Keys and values of these."""
    blocks: Sequence[Tokens] | None = None
    """See Prefixes; None: not looked at yet."""


@dataclass(frozen=True)
class Pass:
    """Prompts that were computed together."""

    prompts: list[int]
    """Their indices."""
    cache: Any
    """Keys and values of all their positions, padded on the left."""
    logits: torch.Tensor
    """Of their last positions, [prompts, vocabulary]."""


@dataclass
class Prompts:
    """Computes the prompts of one model."""

    forward: Forward
    pads: bool
    """Whether prompts of different lengths may share a pass."""
    prefixes: Prefixes | None
    """None: the model computes prompts only as a whole."""
    piece: int = PIECE

    def rest(self, prompt: Prompt) -> int:
        """Returns how many tokens of a prompt are to be computed."""
        return len(prompt.tokens) - self._known(prompt)

    def is_long(self, prompt: Prompt) -> bool:
        """Whether it is to be computed in pieces."""
        return self.prefixes is not None and self.rest(prompt) > self.piece

    def next(self, prompt: Prompt) -> int:
        """Returns how many tokens of a prompt are computed at once: a piece, or what is left."""
        return self.piece if self.is_long(prompt) else self.rest(prompt)

    def advance(self, prompt: Prompt) -> None:
        """Computes the next piece of a long prompt."""
        stop = self._known(prompt) + self.piece
        cache, _ = self._pass([prompt], [stop])
        prompt.parts = [[(layer.keys[0], layer.values[0]) for layer in cache.layers]]
        prompt.done = stop

    def compute(self, prompts: Sequence[Prompt]) -> Iterator[Pass]:
        """Computes what is left of prompts."""
        waiting = list(range(len(prompts)))
        while waiting:
            now, waiting = self._split(prompts, waiting)
            for group in self._groups(prompts, now):
                members = [prompts[at] for at in group]
                yield Pass(group, *self._pass(members, [len(one.tokens) for one in members]))

    def _known(self, prompt: Prompt) -> int:
        """Returns how many positions at the beginning of a prompt need not be computed."""
        if self.prefixes is None:
            return 0
        if prompt.blocks is None:
            prompt.blocks = self.prefixes.blocks(prompt.tokens)
            self.prefixes.see(prompt.blocks)
        return prompt.done or self.prefixes.known(prompt.blocks)

    def _split(self, prompts: Sequence[Prompt], waiting: list[int]) -> tuple[list[int], list[int]]:
        """Returns the prompts to compute now, and those that share what one of these computes."""
        if self.prefixes is None:
            return waiting, []
        for at in waiting:
            self._known(prompts[at])
        computed: set[int] = set()
        now: list[int] = []
        later: list[int] = []
        for at in waiting:
            lacking = self.prefixes.lacking(prompts[at].blocks or ())
            if computed.isdisjoint(lacking):
                now.append(at)
                computed.update(lacking)
            else:
                later.append(at)
        return now, later

    def _groups(self, prompts: Sequence[Prompt], indices: Sequence[int]) -> list[list[int]]:
        """Returns the indices of prompts that share a pass: equally much of them is known, and what is left
        is of similar length."""
        known = {at: self._known(prompts[at]) for at in indices}
        rest = {at: len(prompts[at].tokens) - known[at] for at in indices}
        groups: list[list[int]] = []
        total = longest = 0
        for at in sorted(indices, key=lambda one: (-known[one], -rest[one])):
            rows = len(groups[-1]) + 1 if groups else 0
            padded = longest * rows
            total += rest[at]
            alone = (
                not groups
                or known[at] != known[groups[-1][0]]
                or padded > MAX_PASS_TOKENS
                or padded + known[at] * rows > MAX_PASS_POSITIONS
                or padded - total > MAX_PADDING * padded
            )
            if alone or (not self.pads and rest[at] < longest):
                groups.append([])
                total = longest = rest[at]
            groups[-1].append(at)
        return groups

    def _pass(self, prompts: Sequence[Prompt], stops: Sequence[int]) -> tuple[Any, torch.Tensor]:
        """Computes prompts up to these positions; returns their keys and values, and the last logits."""
        parts = [self._parts(prompt) for prompt in prompts]
        known = [sum(one[0][0].shape[1] for one in each) for each in parts]
        new = max(stop - done for stop, done in zip(stops, known, strict=True))
        before = [max(0, stop - new) for stop in stops]
        device = self.forward.device
        ids, _ = pad_left(
            [one.tokens[start:stop] for one, start, stop in zip(prompts, before, stops, strict=True)]
        )
        width = max(before) + new
        mask = torch.tensor([[0] * (width - stop) + [1] * stop for stop in stops], device=device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -new:]
        cache = _cache(parts, before)
        logits = self.forward(ids.to(device), mask, positions, cache)
        if self.prefixes:
            for row, (prompt, stop) in enumerate(zip(prompts, stops, strict=True)):
                self._keep(prompt, stop, cache, row, width - stop)
        return cache, logits

    def _parts(self, prompt: Prompt) -> Sequence[Layers]:
        """Returns keys and values of what is known of a prompt."""
        if self.prefixes is None or not self._known(prompt):
            return ()
        return prompt.parts if prompt.done else self.prefixes.read(prompt.blocks or ())

    def _keep(self, prompt: Prompt, stop: int, cache: Any, row: int, padding: int) -> None:
        """Keeps of one row of a pass what its prompt shares."""

        def part(start: int, end: int) -> Layers:
            span = slice(padding + start, padding + end)
            return [
                (one.keys[row, :, span].clone(), one.values[row, :, span].clone()) for one in cache.layers
            ]

        assert self.prefixes is not None
        self.prefixes.keep(prompt.blocks or (), stop, part)


def _cache(parts: Sequence[Sequence[Layers]], before: Sequence[int]) -> Any:
    """Returns a cache with the first positions of some prompts, so many of each, padded on the left."""
    cache = DynamicCache()  # without windows, so that each layer keeps all positions
    if not (longest := max(before)):
        return cache
    first = next(each for each in parts if each)[0]
    for number, layer in enumerate(first):
        held = [one.new_zeros(len(parts), one.shape[0], longest, one.shape[2]) for one in layer]
        for row, (each, count) in enumerate(zip(parts, before, strict=True)):
            if not count:
                continue
            for which, whole in enumerate(held):
                joined = torch.cat([part[number][which] for part in each], 1)
                whole[row, :, longest - count :] = joined[:, :count]
        cache.update(held[0], held[1], number)
    return cache
