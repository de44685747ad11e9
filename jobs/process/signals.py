"""Handling of stop signals in the API and the worker."""

import os
import time

SECOND_SIGNAL_AFTER = 0.5
"""Seconds after which a signal counts as a second one; a terminal and its wrapper send one each at once."""


class StopSignals:
    """Counts the stop signals that a process has received."""

    def __init__(self) -> None:
        self._first_at: float | None = None

    def first(self, number: int) -> bool:
        """Returns whether this signal requests the orderly stop. A second one ends the process at once."""
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
            return True
        if now - self._first_at >= SECOND_SIGNAL_AFTER:
            os._exit(128 + number)
        return False
