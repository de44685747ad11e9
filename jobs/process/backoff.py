"""Backoff: growing pauses between tries, for everything that is restarted or asked again."""

import time


class Backoff:
    """Counts failures in a row; each pause is twice as long as the one before, up to a limit.

    `first` and `longest` are seconds. With `steady`, a failure that comes more than that many seconds after
    `began` is the first of a new row.
    """

    def __init__(self, first: float, longest: float, steady: float | None = None) -> None:
        self._first = first
        self._longest = longest
        self._steady = steady
        self._began: float | None = None
        self.failures = 0
        """In a row."""

    @property
    def pause(self) -> float:
        """Seconds to wait before the next try; 0 after no failure."""
        doublings = min(self.failures - 1, 60)
        return min(self._first * 2.0**doublings, self._longest) if self.failures else 0.0

    def began(self) -> None:
        """A try begins to work; whether it goes on working remains to be seen."""
        self._began = time.monotonic()

    @property
    def was_steady(self) -> bool:
        """Whether the latest try has worked for `steady` seconds."""
        if self._steady is None or self._began is None:
            return False
        return time.monotonic() - self._began > self._steady

    def failed(self) -> int:
        """A try failed; returns how many did in a row."""
        if self.was_steady:
            self.failures = 0
        self._began = None
        self.failures += 1
        return self.failures

    def recovered(self) -> None:
        """The row of failures is over."""
        self.failures = 0
