"""Breakers: a circuit breaker for each host. One that does not answer is left alone for a while.

After TRIPS failures in a row, nothing is sent to the host for a pause, then one delivery. If that fails
too, the next pause is twice as long. Only failures of the host count: it cannot be reached, does not answer
in time, or is a gateway without its server.
"""

import time

from jobs.process.backoff import Backoff

TRIPS = 5
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds."""
FORGET_AFTER = 3_600.0
"""Seconds after the newest failure of a host after which nothing is known of it."""

OF_THE_HOST = (502, 503, 504)
"""Statuses that count as failures of the host."""


class _Host:
    def __init__(self) -> None:
        self.backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self.failures = 0
        self.until = 0.0
        self.failed_at = 0.0


class Breakers:
    """The hosts that fail, as this process knows them. Others learn of pauses (`lease_deliveries.lua`)."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def tripped(self) -> dict[str, float]:
        """Returns the hosts that fail, and for how many more seconds nothing is sent to each.

        Once that is over, one delivery at a time is sent.
        """
        now = time.monotonic()
        for name in [name for name, host in self._hosts.items() if now - host.failed_at > FORGET_AFTER]:
            del self._hosts[name]
        tripped = ((name, host) for name, host in self._hosts.items() if host.failures >= TRIPS)
        return {name: max(0.0, host.until - now) for name, host in tripped}

    def succeeded(self, name: str) -> None:
        """Notes that the host answered."""
        self._hosts.pop(name, None)

    def failed(self, name: str) -> None:
        """Notes that it failed."""
        host = self._hosts.setdefault(name, _Host())
        now = time.monotonic()
        host.failures += 1
        host.failed_at = now
        if host.failures >= TRIPS and host.until <= now:  # not for what was in flight when the pause began
            host.backoff.failed()
            host.until = now + host.backoff.pause
