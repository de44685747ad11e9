"""RestartPolicy: how long to wait before an engine is restarted, and when its model is retired instead.

It counts failures in a row: a start that failed, or an engine that died while idle. An answered batch resets
the count, and so does an engine that lived for a minute. An engine that died of an input does not count:
`worker/scheduling/isolation.py` finds the input.
"""

import math
import time

from jobs.errors import BatchlineError
from jobs.process.backoff import Backoff

MAX_FAILURES = 5
"""After this many failures in a row the model is retired: its jobs stay queued until it can be loaded."""

FIRST_PAUSE = 0.2
"""Seconds before the start that follows a failure; doubled after each further failure."""

FIRST_RETIREMENT = 10.0
"""Seconds until a retired model is loaded again; doubled after each further retirement."""

LONGEST_RETIREMENT = 300.0
"""Maximum seconds of a retirement."""

STEADY = 60.0
"""Seconds after which an idle engine counts as recovered."""


class EngineLost(BatchlineError):
    """The engine cannot be kept alive with any input: its model is to be retired."""


class RestartPolicy:
    """Counts the failures in a row of one model's engine."""

    def __init__(self) -> None:
        self._starts = Backoff(FIRST_PAUSE, math.inf, STEADY)
        self._retirements = Backoff(FIRST_RETIREMENT, LONGEST_RETIREMENT)
        self._began = 0.0
        """When the current restart began; 0 if there is none."""

    @property
    def pause(self) -> float:
        """Seconds to wait before the next start."""
        return self._starts.pause

    @property
    def seconds(self) -> float:
        """How long the engine has been restarting; 0 if it is not."""
        return time.monotonic() - self._began if self._began else 0.0

    def began(self) -> None:
        """Records that a restart begins; it may take several starts."""
        self._began = time.monotonic()

    def ready(self) -> None:
        """Records a start that succeeded; the engine may still fail."""
        self._began = 0.0
        self._starts.began()

    def recovered(self) -> None:
        """Records that the engine has answered a batch."""
        self._starts.recovered()
        self._retirements.recovered()

    def failed(self) -> bool:
        """Records a failed start or the death of an idle engine; returns whether to retire the model."""
        if self._starts.was_steady:
            self.recovered()
        return self._starts.failed() >= MAX_FAILURES

    def retire(self) -> float:
        """Records that the model is retired; returns for how many seconds."""
        self._began = 0.0
        self._starts.recovered()
        self._retirements.failed()
        return self._retirements.pause
