"""`python -m bench.key_timing`: whether the time of a lookup shows what is wrong with a key.

The design was fixed before the first run, except that `cold` then had one round, which was too few for BOUND:

1. There are KEYS distinct secrets of each kind (accepted, revoked, expired, unknown, malformed). All are
   looked up equally often, so none is in the processor's caches more often than those of another kind.
2. Each round looks up all of them once, in a new random order. `warm` rounds do nothing between two lookups;
   `cold` rounds copy BALLAST bytes, as a request takes the place of the keys in the caches.
3. Each kind is compared with the accepted one by the difference of medians, with an interval of 99 %
   confidence from order statistics, and by a rank test (Mann-Whitney, normal approximation with ties): 0.5 is
   no effect.
4. The times are equivalent if all intervals are within BOUND. The rank test sees a difference if a p is below
   LEVEL, which allows for 8 comparisons (Bonferroni).

Exits with 1 if the times are not equivalent.

https://en.wikipedia.org/wiki/Mann-Whitney_U_test
"""

import asyncio
import gc
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence

from api.access.key_ring import KeyRing
from bench import machine
from jobs.access.api_key import ApiKey, digest, new_id, new_secret
from jobs.access.key_store import Snapshot

KINDS = ("accepted", "revoked", "expired", "unknown", "malformed")
KEYS = 4_000
"""Distinct secrets of each kind."""
ROUNDS = {"warm": 5, "cold": 5}
"""Lookups of each secret."""
BALLAST = 4 * 1024 * 1024
BOUND = 100
"""Nanoseconds. Answers over the fastest networks vary by a hundred times as much."""
LEVEL = 0.05 / 8
DEVIATIONS = 2.58
"""Standard deviations of 99 %, two-sided."""

DAY = 86_400_000


class Stored:
    """A store with these keys."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)

    async def version(self) -> tuple[str, int]:
        return "1", int(time.time() * 1000)

    async def snapshot(self) -> Snapshot:
        return Snapshot("1", int(time.time() * 1000), self._keys)

    async def note_uses(self, uses: object) -> None:
        pass


def main() -> int:
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    secrets, stored = _secrets()
    ring = KeyRing(Stored(stored), cache=300)
    asyncio.run(ring.refresh())
    print(f"{KEYS} secrets of each kind, {len(stored)} keys; intervals of 99 %\n")
    print(f"{'caches':7}{'kind':10}{'lookups':>8}{'median':>10}{'difference':>12}{'interval':>16}", end="")
    print(f"{'effect':>8}{'p':>8}")
    largest, least = 0, 1.0
    for caches, rounds in ROUNDS.items():
        times = _measured(ring, secrets, rounds, bytearray(BALLAST if caches == "cold" else 0))
        for kind, found in times.items():
            line = f"{caches:7}{kind:10}{len(found):8}{statistics.median(found):7.0f} ns"
            if kind != "accepted":
                difference, low, high = shift(found, times["accepted"])
                effect, p = mann_whitney(found, times["accepted"])
                largest, least = max(largest, -low, high), min(least, p)
                line += f"{difference:+9.0f} ns{f'{low:+} to {high:+}':>16}{effect:8.3f}{p:8.4f}"
            print(line)
    equivalent, seen = largest < BOUND, least < LEVEL
    print(f"\nwithin {BOUND} ns: {'yes' if equivalent else 'no'}, all intervals are within {largest} ns")
    print(f"seen by the rank test: {'yes' if seen else 'no'}, least p {least:.4f}, level {LEVEL:.4f}")
    return int(not equivalent)


def _secrets() -> tuple[list[tuple[str, str]], list[ApiKey]]:
    """Secrets with their kinds, and the keys that are stored; kinds take turns at random in memory."""
    random.shuffle(order := list(KINDS) * KEYS)
    secrets, stored = [], []
    for kind in order:
        secrets.append((kind, secret := new_secret()[:-1] + ("?" if kind == "malformed" else "A")))
        now = int(time.time() * 1000)
        if kind in ("accepted", "revoked", "expired"):
            fields = {"revoked": {"revoked": now}, "expired": {"expires": now - DAY}}
            stored.append(_key(secret, **fields.get(kind, {})))
    return secrets, stored


def _key(secret: str, **fields: int) -> ApiKey:
    return ApiKey(id=new_id(), owner="alice", digest=digest(secret), **fields)  # type: ignore[arg-type]


def _measured(
    ring: KeyRing, secrets: Sequence[tuple[str, str]], rounds: int, ballast: bytearray
) -> dict[str, list[int]]:
    """Nanoseconds of each lookup, by kind."""
    times: dict[str, list[int]] = {kind: [] for kind in KINDS}
    clock, lookup = time.perf_counter_ns, ring.by_secret
    gc.disable()
    for _ in range(rounds):
        lookups = [(kind, "".join(secret)) for kind, secret in random.sample(secrets, len(secrets))]
        for kind, secret in lookups:
            bytes(ballast)
            began = clock()
            lookup(secret)
            times[kind].append(clock() - began)
    gc.enable()
    return times


def shift(one: Sequence[int], other: Sequence[int]) -> tuple[float, int, int]:
    """The difference of medians, and an interval that contains it with at least 99 % confidence.

    It is conservative: made of the intervals of both medians, which need no distribution.
    """
    (low, high), (other_low, other_high) = _median_interval(one), _median_interval(other)
    return statistics.median(one) - statistics.median(other), low - other_high, high - other_low


def _median_interval(values: Sequence[int]) -> tuple[int, int]:
    ordered, half = sorted(values), DEVIATIONS * math.sqrt(len(values)) / 2
    middle = len(values) / 2
    return ordered[max(0, math.floor(middle - half))], ordered[min(len(values) - 1, math.ceil(middle + half))]


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The probability that a value of `one` is above one of `other`, and p of no difference.

    Ties count half.
    """
    values = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks, ties, at = 0.0, 0.0, 0
    while at < len(values):
        end = at
        while end < len(values) and values[end][0] == values[at][0]:
            end += 1
        rank, size = (at + end + 1) / 2, end - at
        ranks += rank * sum(1 for _, which in values[at:end] if which == 0)
        ties += size**3 - size
        at = end
    m, n = len(one), len(other)
    u = ranks - m * (m + 1) / 2
    total = m + n
    deviation = math.sqrt(m * n / 12 * (total + 1 - ties / (total * (total - 1))))
    p = math.erfc(abs(u - m * n / 2) / deviation / math.sqrt(2)) if deviation else 1.0
    return u / (m * n), p


if __name__ == "__main__":
    sys.exit(main())
