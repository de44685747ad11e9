"""Backoff: growing pauses between attempts, for everything that is restarted or retried."""

import time


class Backoff:
    """Counts consecutive failures; each pause is twice as long as the previous one, up to a limit.

    `first` and `longest` are in seconds. With `steady`, a failure more than that many seconds after `began`
    starts a new count.
    """

    def __init__(self, first: float, longest: float, steady: float | None = None) -> None:
        self._first = first
        self._longest = longest
        self._steady = steady
        self._began: float | None = None
        self.failures = 0
        """Consecutive failures."""

    @property
    def pause(self) -> float:
        """Seconds to wait before the next attempt; 0 without a failure."""
        doublings = min(self.failures - 1, 60)
        return min(self._first * 2.0**doublings, self._longest) if self.failures else 0.0

    def began(self) -> None:
        """Records that an attempt has started to work; it may still fail later."""
        self._began = time.monotonic()

    @property
    def was_steady(self) -> bool:
        """Whether the latest attempt has worked for `steady` seconds."""
        if self._steady is None or self._began is None:
            return False
        return time.monotonic() - self._began > self._steady

    def failed(self) -> int:
        """Records a failed attempt; returns the number of consecutive failures."""
        if self.was_steady:
            self.failures = 0
        self._began = None
        self.failures += 1
        return self.failures

    def recovered(self) -> None:
        """Resets the count of failures."""
        self.failures = 0
