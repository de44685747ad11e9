"""FailedAttempts: counts the wrong keys of each address. Right keys are never counted or delayed."""

import ipaddress
import math
import time
from collections import OrderedDict

WINDOW = 60.0
"""Seconds for which attempts are counted together."""
MAX_ADDRESSES = 10_000
"""Maximum addresses whose attempts are counted; the one that was idle longest is forgotten."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that are counted as one: one client can have all addresses of such a network."""


class FailedAttempts:
    """The attempts of all addresses."""

    def __init__(self, most: int) -> None:
        """`most` attempts of an address in WINDOW seconds."""
        self._most = most
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By address: when its window began, and its attempts since."""

    def note(self, address: str) -> int | None:
        """Notes a wrong key. Returns None, or the seconds to wait if there were too many."""
        now, counted = time.monotonic(), _network(address)
        began, count = self._counts.pop(counted, (now, 0))
        if now - began >= WINDOW:
            began, count = now, 0
        self._counts[counted] = (began, count + 1)
        if len(self._counts) > MAX_ADDRESSES:
            self._counts.popitem(last=False)
        return math.ceil(began + WINDOW - now) if count >= self._most else None


def _network(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    except ValueError:
        return address
