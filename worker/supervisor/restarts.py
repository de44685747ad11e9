"""RestartPolicy: how long to wait before an engine is started again, and when its model is retired meanwhile.

What counts is failures in a row: a start that failed, or an engine that died while it had nothing to do. A
batch that was answered ends the row, and so does an engine that lived for a minute. An engine that died of an
input is no failure of this kind: `worker/scheduling/isolation.py` finds the input.
"""

import math
import time

from jobs.process.backoff import Backoff

TRIES = 5
"""Failures in a row after which the model is retired: its jobs wait in the queue until it can be loaded."""

FIRST_PAUSE = 0.2
"""Seconds before a start that follows a failure; each one after that waits twice as long."""

FIRST_RETIREMENT = 10.0
"""Seconds until a retired model is loaded again; each retirement after that lasts twice as long."""

LONGEST_RETIREMENT = 300.0
"""Seconds beyond which a retirement does not grow."""

STEADY = 60.0
"""Seconds after which an engine has recovered although it was given nothing to do."""


class RestartPolicy:
    """Counts the failures in a row of one model's engine."""

    def __init__(self) -> None:
        self._starts = Backoff(FIRST_PAUSE, math.inf, STEADY)
        self._retirements = Backoff(FIRST_RETIREMENT, LONGEST_RETIREMENT)
        self._began = 0.0
        """When the restart that goes on now began; 0 while none does."""

    @property
    def pause(self) -> float:
        """Seconds to wait before the next start."""
        return self._starts.pause

    @property
    def seconds(self) -> float:
        """For how long the engine has been restarting; 0 while it is not."""
        return time.monotonic() - self._began if self._began else 0.0

    def began(self) -> None:
        """A restart begins; it may take several starts."""
        self._began = time.monotonic()

    def ready(self) -> None:
        """A start succeeded; whether that helped remains to be seen."""
        self._began = 0.0
        self._starts.began()

    def recovered(self) -> None:
        """The engine has answered a batch."""
        self._starts.recovered()
        self._retirements.recovered()

    def failed(self) -> bool:
        """A start failed, or an idle engine died; returns whether the model is to be retired."""
        if self._starts.was_steady:
            self.recovered()
        return self._starts.failed() >= TRIES

    def retire(self) -> float:
        """The model is retired; returns for how many seconds."""
        self._began = 0.0
        self._starts.recovered()
        self._retirements.failed()
        return self._retirements.pause
