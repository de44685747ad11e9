"""Keys and values of what prompts begin with, such as a system prompt: computed once for those that share it.

Prompts are divided into blocks of tokens, and a block is known by its tokens and the block before it, as in
vLLM's prefix caching. Keys and values of a block are kept once a second prompt has it, so prompts that share
nothing cost no memory and no copies. The blocks that were not used for longest go first, the last of a prompt
before those before it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

BLOCK = 32
"""Tokens of a block. Only whole blocks are shared, so on average half a block is computed for nothing."""

MAX_BLOCKS = 8_192
"""Most blocks that are remembered, with or without their keys and values."""

Layers = Sequence[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, [heads, positions, dimensions] each."""

Tokens = tuple[int, ...]


@dataclass(eq=False, slots=True)
class _Block:
    key: tuple[int, Tokens]
    """Number of the block before it, 0 for none, and its tokens."""
    number: int
    shared: bool = False
    """Whether two prompts have had it."""
    layers: Layers = ()


class Prefixes:
    """What prompts begin with. Blocks are addressed by the tokens of all blocks of a prompt: see `blocks`."""

    def __init__(self, max_positions: int | None, size: int = BLOCK) -> None:
        """`max_positions`: the most positions whose keys and values are kept. `size`: tokens of a block."""
        self.size = size
        self._max_positions = max_positions
        self._blocks: OrderedDict[tuple[int, Tokens], _Block] = OrderedDict()
        self._kept: OrderedDict[tuple[int, Tokens], _Block] = OrderedDict()
        """Those with keys and values, the one not used for longest first."""
        self._last = 0
        self.stored = 0
        """How often keys and values of a block were stored."""

    @property
    def positions(self) -> int:
        """Positions whose keys and values are kept."""
        return self.size * len(self._kept)

    def blocks(self, tokens: Sequence[int]) -> list[Tokens]:
        """Returns the blocks of a prompt, without its last token: the next one follows from that."""
        return [
            tuple(tokens[start : start + self.size]) for start in range(0, len(tokens) - self.size, self.size)
        ]

    def see(self, blocks: Sequence[Tokens]) -> None:
        """A prompt has these blocks; to be called once for each prompt."""
        path: list[_Block] = []
        for tokens in blocks:
            key = (path[-1].number if path else 0, tokens)
            if (block := self._blocks.get(key)) is not None:
                block.shared = True
            else:
                self._last += 1
                block = self._blocks[key] = _Block(key, self._last)
            path.append(block)
        for block in reversed(path):
            self._blocks.move_to_end(block.key)
        while len(self._blocks) > MAX_BLOCKS:
            key, _ = self._blocks.popitem(last=False)
            self._kept.pop(key, None)

    def known(self, blocks: Sequence[Tokens]) -> int:
        """Returns how many positions at the beginning of a prompt are kept."""
        return self.size * len(self._known(blocks))

    def lacking(self, blocks: Sequence[Tokens]) -> list[int]:
        """Returns the numbers of the blocks that this prompt shares, and that are not kept but can be."""
        room = len(blocks) if self._max_positions is None else self._max_positions // self.size
        return [one.number for one in list(self._walk(blocks))[:room] if one.shared and not one.layers]

    def read(self, blocks: Sequence[Tokens]) -> list[Layers]:
        """Returns keys and values of the positions that are kept, block by block."""
        return [block.layers for block in self._known(blocks)]

    def keep(self, blocks: Sequence[Tokens], positions: int, part: Callable[[int, int], Layers]) -> None:
        """Keeps the shared blocks of a prompt of which so many positions were computed; all are used now.

        `part` returns keys and values from one position to another.
        """
        path = [block for block in self._walk(blocks[: positions // self.size]) if block.shared]
        self._touch(path)
        needed: set[tuple[int, Tokens]] = set()
        for at, block in enumerate(path):
            if not block.layers:
                if not self._has_room(needed):
                    break
                block.layers = part(at * self.size, (at + 1) * self.size)
                self._kept[block.key] = block
                self.stored += 1
            needed.add(block.key)
        self._touch(path)

    def _touch(self, path: Sequence[_Block]) -> None:
        """Blocks are used: each goes before the one on which it depends."""
        for block in reversed(path):
            if block.layers:
                self._kept.move_to_end(block.key)

    def _has_room(self, needed: set[tuple[int, Tokens]]) -> bool:
        """Whether there is room for another block, without those that are needed; drops others for it."""
        while self._max_positions is not None and self.positions + self.size > self._max_positions:
            oldest = next(iter(self._kept), None)
            if oldest is None or oldest in needed:
                return False
            self._kept.pop(oldest).layers = ()
        return True

    def _known(self, blocks: Sequence[Tokens]) -> list[_Block]:
        found: list[_Block] = []
        for block in self._walk(blocks):
            if not block.layers:
                break
            found.append(block)
        return found

    def _walk(self, blocks: Sequence[Tokens]) -> Iterator[_Block]:
        """Yields the blocks that are remembered, up to the first that is not."""
        before = 0
        for tokens in blocks:
            block = self._blocks.get((before, tokens))
            if block is None:
                return
            yield block
            before = block.number
