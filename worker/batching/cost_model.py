"""CostModel: predicts the duration of a micro-batch from earlier ones. Pure: no clock."""

import math

from worker.engine.protocol import Cost

DECAY = 0.9
"""The weight of a batch relative to the one after it."""

FILL = 4
"""Times the fixed cost of a batch for which it may compute tokens of lower priority. More of them make the
others of the batch wait and save at most a fifth of the time per token."""

FILL_MS = 5.0
"""Milliseconds for which it may compute them in any case."""


class CostModel:
    """The cost measured at warm-up, corrected by a fading average of actual durations.

    If no cost was measured, the time is assumed to be proportional to padded tokens.
    """

    def __init__(self, cost: Cost) -> None:
        self._fixed, self._token = (cost.fixed_ms, cost.token_ms) if cost.token_ms > 0 else (0.0, 1.0)
        self._slack = cost.fixed_ms / cost.token_ms if cost.token_ms > 0 else math.inf
        self._measured = self._predicted = 0.0
        self._factor = 0.001 if cost.token_ms > 0 else math.inf

    @property
    def slack(self) -> float:
        """Padding, in tokens, that costs as much as one more batch; infinite if unknown."""
        return self._slack

    @property
    def fill(self) -> float:
        """Tokens up to which a batch is filled with items of lower priority; infinite if unknown."""
        return max(FILL * self._slack, FILL_MS / self._token)

    def seconds(self, padded: int) -> float:
        """Expected seconds of a batch with `padded` tokens; infinite while nothing is known."""
        return self._factor * (self._fixed + self._token * padded)

    def record(self, padded: int, seconds: float) -> None:
        """Records the duration of a finished batch."""
        self._measured = DECAY * self._measured + seconds
        self._predicted = DECAY * self._predicted + self._fixed + self._token * padded
        self._factor = self._measured / self._predicted
