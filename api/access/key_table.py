"""KeyTable: finds what a secret stands for, with the same work on the same memory for all secrets.

The table has buckets of WIDTH places. A keyed hash chooses the bucket, and the digest is compared with all
places of it, whether they hold a key or random bytes. What a secret stands for is selected by arithmetic, so
neither a branch nor a read shows it. `python -m bench.key_timing` measures the time.
"""

import hashlib
import hmac
import os
from array import array
from collections.abc import Iterable
from copy import copy
from typing import NamedTuple

from jobs.access.api_key import ApiKey, raw_digest

WIDTH = 8
"""Places of a bucket. A bucket has at most two keys on average, so few tables must be made twice as large."""
SIZE = 32
"""Bytes of a digest."""


NOBODY = ApiKey(id="", owner="", digest="")
"""Stands in places that no key has taken. Never accepted."""


class Entry(NamedTuple):
    """What a digest stands for."""

    digest: bytes
    key: ApiKey
    until: float
    """Unix milliseconds until which this digest is accepted."""
    fault: str
    """Why it is not accepted after that."""


class Found(NamedTuple):
    """What was found for a secret."""

    key: ApiKey
    """Any key if there is none with this secret."""
    fault: str
    same: bool
    """Whether `key` has this secret, accepted or not."""
    accepted: bool


class KeyTable:
    """The entries at one time."""

    def __init__(self, given: Iterable[Entry]) -> None:
        """Of entries with the same digest the last one counts."""
        entries = {entry.digest: entry for entry in given}.values()
        self._buckets = 1
        while 2 * self._buckets < len(entries):
            self._buckets *= 2
        while (places := self._places(entries)) is None:
            self._buckets *= 2
        size = self._buckets * WIDTH
        digests = bytearray(os.urandom(size * SIZE))
        self._until = array("d", bytes(8 * size))
        self._faults = ["unknown"] * size
        self._keys = []
        for place in range(size):
            entry = places.get(place)
            # own objects for places without a key, and all made here, so that each is as far from the next
            self._keys.append(copy(NOBODY if entry is None else entry.key))
            if entry is not None:
                digests[place * SIZE : (place + 1) * SIZE] = entry.digest
                self._until[place] = entry.until
                self._faults[place] = entry.fault
        self._digests = bytes(digests)

    def find(self, secret: str, now: float) -> Found:
        """Returns what the secret stands for at that time, in Unix milliseconds."""
        given = raw_digest(secret)
        first = self._bucket(given) * WIDTH
        keys = self._keys[first : first + WIDTH]  # reads all of them
        digests = self._digests[first * SIZE : (first + WIDTH) * SIZE]
        same, at = False, 0
        for place in range(WIDTH):
            equal = hmac.compare_digest(given, digests[place * SIZE : (place + 1) * SIZE])
            same |= equal
            at += place * equal
        accepted = same & (self._until[first + at] > now)
        return Found(keys[at], ("unknown", self._faults[first + at])[same], same, accepted)

    def _bucket(self, given: bytes) -> int:
        """The number of a digest's bucket. Nobody outside can know which secrets share one."""
        hashed = hashlib.blake2b(given, key=self._salt, digest_size=8).digest()
        return int.from_bytes(hashed) & (self._buckets - 1)

    def _places(self, entries: Iterable[Entry]) -> dict[int, Entry] | None:
        """Returns the entries by their place, or None if a bucket has too few places."""
        self._salt = os.urandom(32)
        places: dict[int, Entry] = {}
        taken = [0] * self._buckets
        for entry in entries:
            bucket = self._bucket(entry.digest)
            if taken[bucket] == WIDTH:
                return None
            places[bucket * WIDTH + taken[bucket]] = entry
            taken[bucket] += 1
        return places
