"""LengthMeter: measures how long inputs are for the model, so that similar ones share a batch."""

import asyncio
import math
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

from tokenizers import Tokenizer

from jobs.errors import ConfigurationError
from jobs.tasks import Task
from worker.engine.protocol import CHARS_PER_TOKEN, Loaded

DECAY = 0.95
"""The weight of a batch in the correction, relative to the next batch."""

INLINE_CHARS = 20_000
"""Up to this many characters in total are measured inline; more would block the event loop."""

_TEXTS = frozenset({str})


class LengthMeter:
    """Counts tokens with the model's own tokenizer (fast, and without torch), or estimates them.

    The task defines which texts the model reads for an input, and how many times. Raises ConfigurationError
    if the tokenizer's file cannot be read.
    """

    def __init__(self, task: Task, loaded: Loaded) -> None:
        self._input = task.input
        self._passes = task.passes
        self._unit_seconds = loaded.unit_seconds
        self.max_length = loaded.max_length
        self._tokenizer: Tokenizer | None = None
        self._chars_per_token = float(CHARS_PER_TOKEN)
        self._chars = self._tokens = 0.0
        if loaded.tokenizer_file is not None:
            self._tokenizer = _read(loaded.tokenizer_file)
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()

    async def measure(self, inputs: Sequence[Any], parameters: dict[str, Any]) -> list[int]:
        """Returns the cost of each input: tokens as the model reads them, or units of seconds.

        If an input has neither, each input costs as many as its runs.
        """
        if self._unit_seconds is not None:
            return await asyncio.to_thread(self._weigh, inputs)
        texts = self._texts(inputs)
        if texts is None:
            return [self._passes(parameters)] * len(inputs)
        rows, numbers = texts
        if sum(map(len, rows)) <= INLINE_CHARS:
            counts = self._count(rows)
        else:
            counts = await asyncio.to_thread(self._count, rows)
        passes = self._passes(parameters)
        if len(rows) == len(inputs):
            return [passes * count for count in counts]
        left = iter(counts)
        return [passes * sum(islice(left, number)) for number in numbers]

    @property
    def estimates(self) -> bool:
        """Whether lengths are estimated, because there is no tokenizer."""
        return self._tokenizer is None

    def is_exact(self, inputs: Sequence[Any]) -> bool:
        """Whether `measure` returns exact token counts for these inputs, not estimates."""
        return self._tokenizer is not None and _TEXTS.issuperset(map(type, inputs))

    def adjust(self, inputs: Sequence[Any], parameters: dict[str, Any], tokens: int) -> None:
        """Adjusts later estimates: a batch of these inputs had so many tokens."""
        texts = self._texts(inputs)
        if texts is None or not tokens:
            return
        lengths = list(map(len, texts[0]))
        # a truncated text gives no ratio of characters to tokens
        limit = (self.max_length or math.inf) * self._chars_per_token
        if max(lengths) < limit / 2:
            self._chars = DECAY * self._chars + sum(lengths)
            self._tokens = DECAY * self._tokens + tokens / self._passes(parameters)
            self._chars_per_token = self._chars / self._tokens

    def _weigh(self, inputs: Sequence[Any]) -> list[int]:
        return [self._input.weigh(one, self._unit_seconds) for one in inputs]

    def _texts(self, inputs: Sequence[Any]) -> tuple[list[str], list[int]] | None:
        """The texts of all inputs, and how many each input has; None if one has none."""
        if self._input.is_text and _TEXTS.issuperset(map(type, inputs)):
            return list(inputs), [1] * len(inputs)
        texts = list(map(self._input.texts, inputs))
        if not all(texts):
            return None
        return list(chain.from_iterable(texts)), list(map(len, texts))

    def _count(self, texts: Sequence[str]) -> list[int]:
        if self._tokenizer is None:
            counts = [int(len(text) / self._chars_per_token) + 1 for text in texts]
        else:
            counts = [len(encoded.ids) for encoded in self._tokenizer.encode_batch_fast(list(texts))]
        limit = self.max_length or max(counts)
        return [min(max(count, 1), limit) for count in counts]


def _read(file: str) -> Tokenizer:
    try:
        return Tokenizer.from_file(file)
    except Exception as error:  # the library raises only Exception
        raise ConfigurationError(f"the tokenizer {file} cannot be read: {error}") from None
