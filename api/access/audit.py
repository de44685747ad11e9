"""Audit: log lines about the use of keys, with owner and key id and never a secret.

Everybody can send wrong keys, so lines are limited: one for each address in a minute, with a count, and
MAX_LINES in a minute in all. Every process has its own.
"""

import asyncio
import math
import time
from collections import OrderedDict
from typing import NoReturn

import structlog

from jobs.access.api_key import ApiKey
from jobs.owners import Sender

log = structlog.get_logger(__name__)

EVERY = 60.0
"""Seconds between two lines about the same address or key."""
MAX_LINES = 100
"""Maximum lines of one kind within EVERY seconds."""
MAX_KNOWN = 10_000
"""Maximum addresses, and pairs of key and address, that are remembered."""
FLUSH_EVERY = 15.0
"""Seconds between checks for counts that no line has reported."""


class Occasional:
    """Decides which of many similar events are logged, and counts the others."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By subject: when it was last logged, and the events since."""
        self._began = -math.inf
        self._lines = 0
        self.forgotten = 0
        """Events of subjects that are no longer remembered and that no line has reported."""

    def note(self, subject: str) -> int | None:
        """Notes an event. Returns the number of events to report in a line now, or None for no line."""
        logged, count = self._events.pop(subject, (-math.inf, 0))
        now, count = time.monotonic(), count + 1
        found = count if now - logged >= EVERY and self._may_log(now) else None
        self._events[subject] = (logged, count) if found is None else (now, 0)
        if len(self._events) > MAX_KNOWN:
            self.forgotten += self._events.popitem(last=False)[1][1]
        return found

    def unreported(self) -> list[tuple[str, int]]:
        """Subjects with events that have waited for a line for EVERY seconds, each with their number."""
        now = time.monotonic()
        found = []
        for subject, (logged, count) in self._events.items():
            if now - logged >= EVERY and count and self._may_log(now):
                found.append((subject, count))
        for subject, _ in found:
            self._events[subject] = (now, 0)
        return found

    def _may_log(self, now: float) -> bool:
        if now - self._began >= EVERY:
            self._began, self._lines = now, 0
        self._lines += 1
        return self._lines <= MAX_LINES


class Audit:
    """Logs refused requests and first uses of keys."""

    def __init__(self) -> None:
        self._refused = Occasional()
        self._forbidden = Occasional()
        self._first_uses = Occasional()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def refused(self, reason: str, address: str, key: ApiKey | None = None) -> None:
        """A request without a key that is accepted. `key` is the one that its secret belonged to."""
        count = self._refused.note(address)
        if count is not None:
            log.warning("key refused", reason=reason, address=address, count=count, **_about(key))

    def forbidden(self, reason: str, address: str, sender: Sender) -> None:
        """A request that its key does not allow."""
        count = self._forbidden.note(f"{sender.owner} {sender.key}")
        if count is not None:
            about = {"owner": sender.owner, "key": sender.key}
            log.warning("request forbidden", reason=reason, address=address, count=count, **about)

    def used(self, key: ApiKey, address: str) -> None:
        """A request with an accepted key. The first one from an address is logged."""
        pair = (key.id, address)
        if pair in self._seen:
            return
        self._seen[pair] = None
        if len(self._seen) > MAX_KNOWN:
            self._seen.popitem(last=False)
        if self._first_uses.note(f"{key.id} {address}") is not None:
            log.info("key used from a new address", address=address, **_about(key))

    def flush(self) -> None:
        """Logs counts that no line has reported."""
        for address, count in self._refused.unreported():
            log.warning("key refused", address=address, count=count)
        for subject, count in self._forbidden.unreported():
            owner, _, key_id = subject.partition(" ")
            log.warning("request forbidden", count=count, owner=owner, key=key_id)
        if self._refused.forgotten:
            log.warning("key refused", address="others", count=self._refused.forgotten)
            self._refused.forgotten = 0

    async def run(self) -> NoReturn:
        """Never returns."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            self.flush()


def _about(key: ApiKey | None) -> dict[str, str]:
    return {} if key is None else {"owner": key.owner, "key": key.id}
