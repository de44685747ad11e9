"""`python -m bench.key_timing`: whether the time of a lookup shows what is wrong with a key.

Secrets of each kind (accepted, revoked, expired, unknown, malformed) are looked up in random order. A rank
test (Mann-Whitney, normal approximation with ties) compares each kind with the accepted ones: an effect near
0.5 means that the time says nothing. Exits with 1 if an effect is further from that than LIMIT.

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
from jobs.access.api_key import ApiKey, digest, new_id, new_secret
from jobs.access.key_store import Snapshot

KEYS = 1_000
"""Keys of each kind in the ring."""
LOOKUPS = 6_000
"""Of each kind."""
LIMIT = 0.05
"""Most distance of the effect from 0.5. Calls over a network vary by a thousand times as much."""

BALLAST = 4 * 1024 * 1024
"""Bytes that are copied between two lookups."""

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
    kinds = ["accepted", "revoked", "expired", "unknown", "malformed"]
    random.shuffle(order := kinds * KEYS)  # alike in memory, too
    given: dict[str, list[str]] = {kind: [] for kind in kinds}
    stored = []
    for kind in order:
        given[kind].append(secret := new_secret()[:-1] + ("?" if kind == "malformed" else "A"))
        now = int(time.time() * 1000)
        if kind in ("accepted", "revoked", "expired"):
            fields = {"revoked": {"revoked": now}, "expired": {"expires": now - DAY}}
            stored.append(_key(secret, **fields.get(kind, {})))
    ring = KeyRing(Stored(stored), cache=300)
    asyncio.run(ring.refresh())
    times = _measured(ring, given)
    print(f"{LOOKUPS} lookups of each kind, in random order; {len(stored)} keys\n")
    print(f"{'kind':10}  {'median':>9}  {'effect':>6}  {'p':>6}")
    worst = 0.0
    for kind, found in times.items():
        effect, p = mann_whitney(found, times["accepted"])
        worst = max(worst, abs(effect - 0.5))
        print(f"{kind:10}  {statistics.median(found):6.0f} ns  {effect:6.3f}  {p:6.3f}")
    print(f"\nlargest distance of an effect from 0.5: {worst:.3f}, limit {LIMIT}")
    return int(worst > LIMIT)


def _key(secret: str, **fields: int) -> ApiKey:
    return ApiKey(id=new_id(), owner="alice", digest=digest(secret), **fields)  # type: ignore[arg-type]


def _measured(ring: KeyRing, given: dict[str, list[str]]) -> dict[str, list[int]]:
    """Nanoseconds of each lookup, by kind."""
    order = [kind for kind in given for _ in range(LOOKUPS)]
    random.shuffle(order)
    lookups = [(kind, "".join(random.choice(given[kind]))) for kind in order]
    times: dict[str, list[int]] = {kind: [] for kind in given}
    clock, lookup, other = time.perf_counter_ns, ring.by_secret, bytearray(BALLAST)
    gc.disable()
    for kind, secret in lookups:
        bytes(other)  # as the rest of a request, it takes the place of the keys in the processor's caches
        began = clock()
        lookup(secret)
        times[kind].append(clock() - began)
    gc.enable()
    return times


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
