"""The spans of a context that answer a question best, chosen as the pipeline of transformers 4 did."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np


class Span(NamedTuple):
    """Tokens from `first` to `last`, and the probability that they are the answer."""

    first: int
    last: int
    score: float


def probabilities(logits: Any, allowed: Any) -> Any:
    """Softmax over the allowed tokens; 0 for others."""
    logits = np.where(allowed, logits, -10_000.0).astype(np.float32)
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def best_spans(start: Any, end: Any, context: Any, longest: int, count: int) -> Iterator[Span]:
    """The `count` most probable spans of up to `longest` tokens within the context, the best first.

    `start` and `end` are probabilities [tokens]; `context` says which tokens belong to it.
    """
    start, end = np.where(context, start, -1.0), np.where(context, end, -1.0)
    longest = min(longest, len(start))
    # [first, length - 1]: the products of all other pairs of tokens are not needed
    ends = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([end, np.full(longest - 1, -1.0, end.dtype)]), longest
    )
    scores = np.where((start[:, None] >= 0) & (ends >= 0), start[:, None] * ends, -1.0).ravel()
    found = np.argpartition(-scores, count)[:count] if count < len(scores) else np.arange(len(scores))
    for at in found[np.argsort(-scores[found], kind="stable")].tolist():
        if scores[at] < 0:
            return
        first, more = divmod(at, longest)
        yield Span(first, first + more, float(scores[at]))
