"""A model with the rows that it continues: computes their prompts, and one token of each at a step."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers.cache_utils import Cache, DynamicCache

from worker.engine.pipelines.text.continuous.slot_cache import Masks, SlotCache
from worker.engine.pipelines.text.padding import pad_left

MAX_PROMPT_TOKENS = 2_048
"""Most tokens, padding included, of prompts that share a pass; a longer prompt has one of its own."""
MAX_PADDING = 0.25
"""Largest share of padding in such a pass."""


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


class SlotDecoder:
    """Rows 0 to n - 1, each with its own length. All calls run under `torch.inference_mode`."""

    def __init__(self, model: Any, style: Style, max_positions: int | None = None) -> None:
        """`max_positions`: the most positions of all rows in memory, except if one row alone has more."""
        self._model = model
        self._style = style
        self._max_positions = max_positions
        self._lengths: list[int] = []
        """Positions of each row whose keys and values are known."""
        self._ends: list[int] = []
        """The most positions that each row will have."""
        self._cache = SlotCache()
        self._masks = Masks(style.windows, model.dtype, model.device)
        accepted = inspect.signature(model.forward).parameters
        self._positions = "position_ids" in accepted
        self._options: dict[str, Any] = {"use_cache": True}
        if "logits_to_keep" in accepted:
            self._options["logits_to_keep"] = 1

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

    def join(self, prompts: Sequence[Sequence[int]], ends: Sequence[int]) -> torch.Tensor:
        """Adds rows and returns the logits of their first new tokens, [prompts, vocabulary].

        `ends`: the most positions that each row will have. If it raises, no row was added.
        """
        first = len(self._lengths)
        lengths, ends = [*self._lengths, *map(len, prompts)], [*self._ends, *ends]
        self._reserve(lengths, ends)
        found: dict[int, torch.Tensor] = {}
        for group in self._groups(prompts):
            cache, logits = self._prefill([prompts[at] for at in group])
            self._cache.fill(cache, [first + at for at in group], [len(prompts[at]) for at in group])
            found.update(zip(group, logits, strict=True))
        for row in range(first, len(lengths)):
            self._masks.fill(row, lengths[row])
        self._lengths, self._ends = lengths, ends
        return torch.stack([found[at] for at in range(len(prompts))])

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Appends a token to each row and returns the logits of the next ones, [rows, vocabulary].

        If it raises, no row has changed.
        """
        count, length = len(tokens), max(self._lengths) + 1
        self._reserve(self._lengths, self._ends)
        device = self._model.device
        rows, positions = torch.arange(count, device=device), torch.tensor(self._lengths, device=device)
        self._cache.place.set(rows, positions, length)
        self._masks.step(rows, positions)
        inputs: dict[str, Any] = {"input_ids": torch.tensor(tokens, device=device)[:, None]}
        if self._positions:
            inputs["position_ids"] = positions[:, None]
        output = self._model(
            **inputs,
            attention_mask=self._mask(count, length),
            past_key_values=self._cache,
            **self._options,
        )
        self._lengths = [one + 1 for one in self._lengths]
        return _last(output.logits)

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

    def _groups(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Returns the indices of prompts that share a pass; they are of similar length."""
        groups: list[list[int]] = []
        total = longest = 0
        for at in sorted(range(len(prompts)), key=lambda one: -len(prompts[one])):
            padded = longest * (len(groups[-1]) + 1) if groups else 0
            total += len(prompts[at])
            alone = not groups or padded > MAX_PROMPT_TOKENS or padded - total > MAX_PADDING * padded
            if alone or (not self._style.pads and len(prompts[at]) < longest):
                groups.append([])
                total = longest = len(prompts[at])
            groups[-1].append(at)
        return groups

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[Cache, torch.Tensor]:
        """Computes prompts, padded on the left, and returns their keys and values, and the last logits."""
        ids, mask = (one.to(self._model.device) for one in pad_left(prompts))
        cache = DynamicCache()  # without windows, so that each layer keeps all positions
        inputs = {"input_ids": ids, "attention_mask": mask, "past_key_values": cache}
        if self._positions:
            inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        return cache, _last(self._model(**inputs, **self._options).logits)

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


def _last(logits: torch.Tensor) -> torch.Tensor:
    """Returns the logits of each row's last position, as numbers of 32 bits."""
    return logits[:, -1].float()
