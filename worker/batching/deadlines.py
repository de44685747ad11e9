"""Deadlines: how long a batch may take before its engine counts as hung. Pure: no clock.

It is at least `batch_timeout`. A built-in task's batch may be expected to take longer, such as to generate
thousands of tokens on a CPU; it then gets FACTOR times the expected time. A custom class gets `batch_timeout`
only: its operator knows it, and its inputs must not set their own deadline.
"""

from typing import Any

from jobs.models import ModelSpec
from worker.engine.protocol import Loaded

FACTOR = 5
"""Allowed multiple of the expected time: the machine may be busy, and texts differ in length."""

DECAY = 0.9
"""The weight of a batch in the time of a step, relative to the next batch."""

MIN_STEPS = 4
"""A batch with fewer steps is ignored: most of its time was spent on the prompts."""


MIN_SILENCE = 1.0
"""Seconds. An engine that computes rows reports several times in this time."""


class Deadlines:
    """The deadlines of one model's batches.

    Generation takes one step for each new token, for all texts together. A step with more texts than were
    measured takes longer, at most in proportion to their number.
    """

    def __init__(self, spec: ModelSpec, loaded: Loaded) -> None:
        self._minimum = spec.batch_timeout
        self._measured = spec.pipeline is None and loaded.cost.token_ms > 0
        self._new_tokens = loaded.new_tokens
        self._has_windows = loaded.unit_seconds is not None
        self._total_seconds, self._steps, self._rows = loaded.step_ms / 1000, 1.0, 1.0
        """Seconds, steps, and texts times steps of the batches so far; initially of one step at warm-up."""

    def rows(self, inputs: int, cost: int) -> int:
        """Returns how many texts a batch generates: of sounds, one for each window of a recording."""
        return cost if self._has_windows else inputs

    def seconds(self, texts: int, parameters: dict[str, Any], expected: float) -> float:
        """Returns the deadline of a batch of `texts`; `expected` is the time for its padded tokens."""
        if self._total_seconds:
            new_tokens = parameters.get("max_new_tokens", self._new_tokens)
            rows = texts * parameters.get("num_beams", 1)
            expected = (
                new_tokens * self._total_seconds / self._steps * max(1.0, rows * self._steps / self._rows)
            )
        elif not self._measured:
            return self._minimum
        return max(self._minimum, FACTOR * expected)

    def silence(self, expected: float) -> float:
        """Returns how long an engine may report nothing about its rows; `expected` for their prompts."""
        minimum = max(self._minimum, MIN_SILENCE)
        if not self._measured:
            return minimum
        return max(minimum, FACTOR * (expected + self._total_seconds / self._steps))

    def record(self, texts: int, steps: int, seconds: float) -> None:
        """Records a finished batch; `steps` is 0 for a task that generates nothing."""
        if steps >= MIN_STEPS:
            self._total_seconds = DECAY * self._total_seconds + seconds
            self._steps = DECAY * self._steps + steps
            self._rows = DECAY * self._rows + texts * steps
