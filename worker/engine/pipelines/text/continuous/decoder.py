"""A model with the rows that it continues: computes their prompts, and one token of each at a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from worker.engine.pipelines.text.continuous.forward import Forward
from worker.engine.pipelines.text.continuous.prefixes import BLOCK, Prefixes
from worker.engine.pipelines.text.continuous.prompts import Prompt, Prompts
from worker.engine.pipelines.text.continuous.slot_cache import Masks, SlotCache

PREFIXES = 0.25
"""Share of the positions in memory for what prompts begin with."""


@dataclass(frozen=True)
class Style:
    """How a model is called."""

    windows: dict[str, int | None]
    """Kind of layer -> the positions that a token sees; None: all."""
    mask: Literal["additive", "padding"] = "additive"
    """Form of a step's mask: added to the attention, or 1 for a position and 0 for padding, for models that
    compute more than attention from it."""
    pads: bool = True
    """Whether prompts of different lengths may share a pass."""
    parts: bool = False
    """Whether a part of a prompt may be computed on top of the positions before it."""


class SlotDecoder:
    """Rows 0 to n - 1, each with its own length. All calls run under `torch.inference_mode`."""

    def __init__(
        self,
        model: Any,
        style: Style,
        max_positions: int | None = None,
        block: int = BLOCK,
        shares: bool = True,
    ) -> None:
        """`max_positions`: the most positions in memory, except if one row alone has more.

        `block`: see Prefixes. `shares`: whether to keep what prompts begin with.
        """
        self._style = style
        self._lengths: list[int] = []
        """Positions of each row whose keys and values are known."""
        self._ends: list[int] = []
        """The most positions that each row will have."""
        self._cache = SlotCache()
        self._forward = Forward(model)
        self._masks = Masks(style.windows, self._forward.dtype, self._forward.device)
        kept = None if shares else 0
        if max_positions is not None and shares and style.parts:
            kept = int(PREFIXES * max_positions)
        self._max_positions = None if max_positions is None else max_positions - (kept or 0)
        """Of the rows."""
        self.prompts = Prompts(self._forward, style.pads, Prefixes(kept, block) if style.parts else None)

    @property
    def position_bytes(self) -> int:
        """Memory of one position of a row; 0 before the first prompt."""
        return self._cache.position_bytes

    def fits(self, ends: Sequence[int]) -> bool:
        """Whether rows of up to so many positions fit into memory beside those that have joined."""
        rows = len(self._ends) + len(ends)
        if rows <= 1 or self._max_positions is None:
            return True
        return rows * max(*self._ends, *ends) <= self._max_positions

    def join(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """Adds rows and returns the logits of their first new tokens, [prompts, vocabulary].

        What is left of the prompts is computed. If it raises, no row was added.
        """
        first = len(self._lengths)
        lengths = [*self._lengths, *(len(one.tokens) for one in prompts)]
        ends = [*self._ends, *(one.end for one in prompts)]
        self._reserve(lengths, ends)
        found: dict[int, torch.Tensor] = {}
        for each in self.prompts.compute(prompts):
            slots = [first + at for at in each.prompts]
            self._cache.fill(each.cache, slots, [lengths[slot] for slot in slots])
            found.update(zip(each.prompts, each.logits, strict=True))
        for row in range(first, len(lengths)):
            self._masks.fill(row, lengths[row])
        self._lengths, self._ends = lengths, ends
        for one in prompts:
            one.parts = ()  # they are in the slots now
        return torch.stack([found[at] for at in range(len(prompts))])

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Appends a token to each row and returns the logits of the next ones, [rows, vocabulary].

        If it raises, no row has changed.
        """
        count, length = len(tokens), max(self._lengths) + 1
        self._reserve(self._lengths, self._ends)
        device = self._forward.device
        rows, positions = torch.arange(count, device=device), torch.tensor(self._lengths, device=device)
        self._cache.place.set(rows, positions, length)
        self._masks.step(rows, positions)
        ids = torch.tensor(tokens, device=device)[:, None]
        logits = self._forward(ids, self._mask(count, length), positions[:, None], self._cache)
        self._lengths = [one + 1 for one in self._lengths]
        return logits

    def leave(self, row: int) -> None:
        """Drops a row; the last one takes its place."""
        last = len(self._lengths) - 1
        if row != last:
            self._cache.move(last, row, max(self._lengths[last], self._lengths[row]))
            self._masks.move(last, row)
            self._lengths[row], self._ends[row] = self._lengths[last], self._ends[last]
        del self._lengths[last], self._ends[last]

    def _mask(self, rows: int, length: int) -> Any:
        masks = self._masks.of(rows, length)
        if len(masks) > 1:
            return masks  # models with layers of several kinds take one mask for each
        [mask] = masks.values()
        return mask if self._style.mask == "additive" else (mask[:, 0, 0] == 0).long()

    def _reserve(self, lengths: Sequence[int], ends: Sequence[int]) -> None:
        """Makes room for one more position of each row: twice as much as before, if that fits.

        `fits` has ensured that the rows fit with all the positions that they will have.
        """
        rows, length = len(lengths), max(lengths) + 1
        slots, had = self._cache.slots, self._cache.length
        if rows <= slots and length <= had:
            return
        wanted_slots = slots if rows <= slots else max(rows, 2 * slots)
        wanted_length = had if length <= had else min(max(length, 2 * had), max(*ends, length))
        if self._max_positions is not None and wanted_slots * wanted_length > self._max_positions:
            wanted_slots, wanted_length = rows, max(*ends, length)
        kept = len(self._lengths)
        self._masks.resize(wanted_slots, wanted_length, kept)
        self._cache.resize(wanted_slots, wanted_length, kept)
