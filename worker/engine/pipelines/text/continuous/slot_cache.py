"""Keys and values of the rows that are generated together, each in a slot of its own.

Slot i holds row i from position 0 on, without padding. A step writes one position of each row, in place, and
reads the positions up to the longest row's; masks hide what lies beyond a shorter row's end. Nothing is
concatenated, and a row that leaves frees its slot at once: the last row moves there.

What lies beyond a row's end is zero. A mask does not make a NaN of an earlier row harmless.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class Place:
    """What the running step writes and reads: one new position of each of the first rows."""

    def __init__(self) -> None:
        self.rows = self.positions = torch.empty(0, dtype=torch.long)
        self.count = self.length = 0

    def set(self, rows: torch.Tensor, positions: torch.Tensor, length: int) -> None:
        """`positions` [rows] are written; the first `length` positions are read."""
        self.rows, self.positions = rows, positions
        self.count, self.length = len(rows), length


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [slots, heads, positions, dimensions] each."""

    supports_early_init = False
    keys: Any
    values: Any

    def __init__(self, place: Place, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Empty slots for keys and values like these."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.place = place
        self.keys = keys.new_zeros(0, keys.shape[1], 0, keys.shape[3])
        self.values = values.new_zeros(0, values.shape[1], 0, values.shape[3])
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """See CacheLayerMixin; nothing is left to do."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes one position of each row and returns what the step reads."""
        place = self.place
        self.keys[place.rows, :, place.positions] = key_states[:, :, 0]
        self.values[place.rows, :, place.positions] = value_states[:, :, 0]
        rows, length = place.count, place.length
        return self.keys[:rows, :, :length], self.values[:rows, :, :length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """See CacheLayerMixin."""
        return self.place.length, 0

    def get_seq_length(self) -> int:
        """Returns the positions before the one that the step writes to the longest row."""
        return self.place.length - 1

    def get_max_length(self) -> int:
        """See CacheLayerMixin."""
        return -1

    def resize(self, slots: int, length: int, rows: int) -> None:
        """Moves the first `rows` to a larger or smaller rectangle."""
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            kept = min(length, old.shape[2])
            new = old.new_zeros(slots, old.shape[1], length, old.shape[3])
            new[:rows, :, :kept] = old[:rows, :, :kept]
            setattr(self, name, new)  # before the other is allocated, so that memory for one only is needed


class SlotCache(Cache):
    """The layers of a model. It grows with its rows, by doubling."""

    layers: Any

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.place = Place()
        self.slots = self.length = 0

    @property
    def position_bytes(self) -> int:
        """Memory of one position of one row in all layers; 0 before the first prompt."""
        return sum(
            one.element_size() * one.shape[1] * one.shape[3]
            for layer in self.layers
            for one in (layer.keys, layer.values)
        )

    def fill(self, prefilled: Any, slots: Sequence[int], lengths: Sequence[int]) -> None:
        """Copies prompts from the cache in which they were computed, padded on the left, to their slots."""
        if not self.layers:
            self.layers = [SlotLayer(self.place, one.keys, one.values) for one in prefilled.layers]
            for layer in self.layers:
                layer.resize(self.slots, self.length, 0)
        for layer, computed in zip(self.layers, prefilled.layers, strict=True):
            for row, (slot, length) in enumerate(zip(slots, lengths, strict=True)):
                for held, new in ((layer.keys, computed.keys), (layer.values, computed.values)):
                    held[slot, :, :length] = new[row, :, -length:]
                    held[slot, :, length:] = 0.0

    def move(self, source: int, target: int, extent: int) -> None:
        """Copies a row to another slot. Neither its row nor the former one there has more positions."""
        for layer in self.layers:
            for one in (layer.keys, layer.values):
                one[target, :, :extent] = one[source, :, :extent]

    def resize(self, slots: int, length: int, rows: int) -> None:
        """Changes the number of slots and positions; the first `rows` are kept."""
        for layer in self.layers:
            layer.resize(slots, length, rows)
        self.slots, self.length = slots, length


class Masks:
    """What each row may see: for each kind of attention 0.0 or the lowest number, [slots, positions].

    They change by one position of each row at a step, so none is built anew.
    """

    def __init__(self, windows: dict[str, int | None], dtype: torch.dtype, device: torch.device) -> None:
        """`windows`: kind of layer -> number of positions that a token sees, itself included; None: all."""
        self._windows = windows
        self._hidden = torch.finfo(dtype).min
        self._masks = {kind: torch.empty(0, 0, dtype=dtype, device=device) for kind in windows}

    def resize(self, slots: int, length: int, rows: int) -> None:
        """Changes the number of slots and positions; the first `rows` are kept."""
        for kind, old in self._masks.items():
            kept = min(length, old.shape[1])
            new = old.new_full((slots, length), self._hidden)
            new[:rows, :kept] = old[:rows, :kept]
            self._masks[kind] = new

    def fill(self, row: int, length: int) -> None:
        """A new row with so many positions; its next token sees these, within its window."""
        for kind, mask in self._masks.items():
            window = self._windows[kind]
            mask[row] = self._hidden
            mask[row, 0 if window is None else max(0, length - window) : length] = 0.0

    def move(self, source: int, target: int) -> None:
        """Copies a row to another slot."""
        for mask in self._masks.values():
            mask[target] = mask[source]

    def step(self, rows: torch.Tensor, positions: torch.Tensor) -> None:
        """Each row sees its new position, and no longer the one that its window leaves."""
        for kind, mask in self._masks.items():
            window = self._windows[kind]
            if window is not None:  # before the window is full, its position is hidden once more
                gone = torch.where(positions >= window, positions - window, mask.shape[1] - 1)
                mask[rows, gone] = self._hidden
            mask[rows, positions] = 0.0

    def of(self, rows: int, length: int) -> dict[str, torch.Tensor]:
        """Returns the masks of the first rows, [rows, 1, 1, length]."""
        return {kind: mask[:rows, None, None, :length] for kind, mask in self._masks.items()}
