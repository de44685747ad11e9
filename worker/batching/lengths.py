"""Measures how long an input is for the model, so that the batcher can put like with like."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from worker.engine.protocol import CHARS_PER_TOKEN, Loaded

FADING = 0.95
"""What a batch counts for in the correction, relative to the one after it."""

INLINE_CHARS = 20_000
"""Texts up to this many characters in all are measured at once; more would hold up the event loop."""


class LengthMeter:
    """Counts tokens with the model's own tokenizer (fast, and without torch), or estimates them."""

    def __init__(self, loaded: Loaded) -> None:
        self.max_length = loaded.max_length
        self._tokenizer: Tokenizer | None = None
        self._chars_per_token = float(CHARS_PER_TOKEN)
        self._chars = self._tokens = 0.0
        if loaded.tokenizer_file is not None:
            self._tokenizer = Tokenizer.from_file(loaded.tokenizer_file)
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()

    async def measure(self, inputs: Sequence[Any], parameters: dict[str, Any]) -> list[int]:
        """The cost of each input: tokens as the model will see them; for JSON inputs, all alike."""
        if not all(isinstance(item, str) for item in inputs):
            return [1] * len(inputs)
        if sum(map(len, inputs)) <= INLINE_CHARS:
            tokens = self._count(inputs)
        else:
            tokens = await asyncio.to_thread(self._count, inputs)
        return [_passes(parameters) * count for count in tokens]

    @property
    def guesses(self) -> bool:
        """Whether there is no tokenizer to ask."""
        return self._tokenizer is None

    def counts(self, inputs: Sequence[Any]) -> bool:
        """Whether what `measure` returns of these inputs are tokens, not guesses."""
        return self._tokenizer is not None and isinstance(inputs[0], str)

    def ran(self, inputs: Sequence[Any], parameters: dict[str, Any], tokens: int) -> None:
        """A batch of these inputs had so many tokens: the next guesses follow."""
        texts = [text for text in inputs if isinstance(text, str)]
        # a text that was cut tells nothing of its characters
        most = (self.max_length or math.inf) * self._chars_per_token
        chars = sum(map(len, texts))
        if tokens and len(texts) == len(inputs) and max(map(len, texts)) < most / 2:
            self._chars = FADING * self._chars + chars
            self._tokens = FADING * self._tokens + tokens / _passes(parameters)
            self._chars_per_token = self._chars / self._tokens

    def _count(self, texts: Sequence[str]) -> list[int]:
        if self._tokenizer is None:
            counts = [int(len(text) / self._chars_per_token) + 1 for text in texts]
        else:
            counts = [len(encoded.ids) for encoded in self._tokenizer.encode_batch_fast(list(texts))]
        most = self.max_length or max(counts)
        return [min(max(count, 1), most) for count in counts]


def _passes(parameters: dict[str, Any]) -> int:
    """Zero-shot runs a text once for each label."""
    labels = parameters.get("candidate_labels")
    return max(1, len(labels)) if isinstance(labels, list) else 1
