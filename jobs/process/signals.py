"""What a signal to stop means, to the API as to a worker."""

import os
import time

AGAIN = 0.5
"""Seconds after which a signal is a second one; a terminal's and its wrapper's for one stop come together."""


class StopSignals:
    """The signals that a process got so far."""

    def __init__(self) -> None:
        self._asked: float | None = None

    def first(self, number: int) -> bool:
        """Whether this signal is the one that asks for an orderly stop. A second ends the process at once."""
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            return True
        if now - self._asked >= AGAIN:
            os._exit(128 + number)
        return False
