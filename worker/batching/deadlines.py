"""Deadlines: how long a batch may take before its engine counts as hung. Pure: no clock.

That is `batch_timeout` at least. A task's batch may be expected to take longer, as one that generates
thousands of tokens on a CPU does; then it gets FACTOR times what is expected. Of a class nothing is expected:
its operator knows it, and its inputs must not set their own deadline.
"""

from typing import Any

from jobs.models import ModelSpec
from worker.engine.protocol import Loaded

FACTOR = 5
"""A batch may take so many times what is expected: the machine may be busy, and texts are of many lengths."""

FADING = 0.9
"""What a batch counts for in the time of a step, relative to the one after it."""

FEW_STEPS = 4
"""A batch with fewer says little of a step: most of its time was spent on the prompts."""


class Deadlines:
    """Those of one model's batches.

    Generating takes one step for each new token, of all texts at once. A step of more texts than those
    measured takes longer, in proportion to their number at most.
    """

    def __init__(self, spec: ModelSpec, loaded: Loaded) -> None:
        self._least = spec.batch_timeout
        self._measured = spec.pipeline is None and loaded.cost.token_ms > 0
        self._new_tokens = loaded.new_tokens
        self._taken, self._steps, self._rows = loaded.step_ms / 1000, 1.0, 1.0
        """Seconds, steps, and texts times steps of the batches so far; at first of a step at warm-up."""

    def seconds(self, texts: int, parameters: dict[str, Any], expected: float) -> float:
        """Of a batch with so many texts; `expected` is what its padded tokens are expected to take."""
        if self._taken:
            new_tokens = parameters.get("max_new_tokens", self._new_tokens)
            expected = new_tokens * self._taken / self._steps * max(1.0, texts * self._steps / self._rows)
        elif not self._measured:
            return self._least
        return max(self._least, FACTOR * expected)

    def took(self, texts: int, steps: int, seconds: float) -> None:
        """A batch is over; `steps` is 0 for a task that generates nothing."""
        if steps >= FEW_STEPS:
            self._taken = FADING * self._taken + seconds
            self._steps = FADING * self._steps + steps
            self._rows = FADING * self._rows + texts * steps
