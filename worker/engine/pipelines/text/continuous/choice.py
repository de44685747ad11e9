"""The next token of each row, by its own settings: transformers' logits processors, and its random numbers.

Processors that look at a row's tokens, such as a repetition penalty, run for each row with its own tokens.
The others (temperature, top_k, ...) run once for all rows with equal settings. Nothing that a neighbour asks
for reaches a row.
"""

import random
from collections.abc import Hashable, Sequence
from typing import Any

import torch
import transformers
from transformers import LogitsProcessorList

_ROW_BY_ROW = (
    transformers.TemperatureLogitsWarper,
    transformers.TopKLogitsWarper,
    transformers.TopPLogitsWarper,
    transformers.TopHLogitsWarper,
    transformers.MinPLogitsWarper,
    transformers.TypicalLogitsWarper,
    transformers.EpsilonLogitsWarper,
    transformers.EtaLogitsWarper,
    transformers.SuppressTokensLogitsProcessor,
    transformers.InfNanRemoveLogitsProcessor,
    transformers.LogitNormalization,
)
"""Processors of which a row's scores depend on that row's logits only, not on its tokens."""

_GREEDY: Hashable = "greedy"


class Choice:
    """How the tokens of one row are chosen, and the tokens so far."""

    def __init__(
        self,
        processors: Sequence[Any],
        prompt: Sequence[int],
        most: int,
        settings: Hashable,
        sampled: bool,
        seed: int | None,
        device: torch.device,
    ) -> None:
        """`most`: the most tokens, prompt included. `settings`: equal for rows with equal `processors` that
        do not depend on tokens."""
        own = [at for at, one in enumerate(processors) if type(one) not in _ROW_BY_ROW]
        split = own[-1] + 1 if own else 0
        self.own = LogitsProcessorList(processors[:split])
        self.shared = LogitsProcessorList(processors[split:])
        self.sampled = sampled
        self.group = (settings, bool(own)) if sampled or self.shared else _GREEDY
        self.random = random.Random(seed)  # noqa: S311 - no secret depends on it
        self._tokens: torch.Tensor | None = None
        if own:
            self._tokens = torch.zeros(1, most, dtype=torch.long, device=device)
            self._tokens[0, : len(prompt)] = torch.tensor(prompt)
        self._count = len(prompt)

    @property
    def tokens(self) -> torch.Tensor:
        """Prompt and continuation, [1, tokens]; only if `own` needs them."""
        assert self._tokens is not None
        return self._tokens[:, : self._count]

    def append(self, token: int) -> None:
        """The token was chosen."""
        if self._tokens is not None:
            self._tokens[0, self._count] = token
        self._count += 1


def choose(logits: torch.Tensor, choices: Sequence[Choice]) -> list[int | Exception]:
    """Returns each row's next token from `logits` [rows, vocabulary], or why the row has none."""
    chosen: list[int | Exception] = [0] * len(choices)
    groups: dict[Hashable, list[int]] = {}
    for at, one in enumerate(choices):
        if one.own:
            try:
                logits[at] = _run(one.own, one.tokens, logits[at : at + 1])[0]
            except Exception as error:
                chosen[at] = error
                continue
        groups.setdefault(one.group, []).append(at)
    for key, rows in groups.items():
        scores = logits if len(rows) == len(choices) else logits[rows]
        if key == _GREEDY:
            tokens: list[Any] = scores.argmax(-1).tolist()
        else:
            tokens = _together(scores, [choices[at] for at in rows])
        for at, token in zip(rows, tokens, strict=True):
            chosen[at] = token
    return chosen


def _together(scores: torch.Tensor, choices: Sequence[Choice]) -> list[Any]:
    """Returns the tokens of rows with equal settings."""
    first = choices[0]
    try:
        no_tokens = torch.empty(len(choices), 0, dtype=torch.long, device=scores.device)
        scores = _run(first.shared, no_tokens, scores)
    except Exception as error:
        return [error] * len(choices)
    if not first.sampled:
        return list(scores.argmax(-1).tolist())
    return _draw(scores.softmax(-1), [one.random.random() for one in choices])


def _run(processors: Any, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = processors(tokens, scores)
    return found


def _draw(probabilities: torch.Tensor, numbers: Sequence[float]) -> list[Any]:
    """Returns for each row the token at its number, from 0 to 1, in the sum of its probabilities."""
    sums = probabilities.cumsum(-1)  # added up in 64 bits
    totals = sums[:, -1:]
    targets = torch.tensor(numbers, device=sums.device)[:, None] * totals
    targets = targets.minimum(totals.nextafter(torch.zeros_like(totals)))  # below the sum, even if rounded
    # the first token whose sum exceeds the number: one without probability never is
    tokens = torch.searchsorted(sums, targets, right=True)[:, 0].tolist()
    return [
        token if 0 < total <= 2 else ValueError("the model's probabilities are not numbers")
        for token, total in zip(tokens, totals[:, 0].tolist(), strict=True)
    ]
