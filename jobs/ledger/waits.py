"""Waits: how many requests of each owner wait in the API processes, which tell each other once a second."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from jobs.ledger.shard import Shard
from jobs.store.lua import script

LIFETIME = 5_000
"""Milliseconds for which a process's counts are used: a process that ended has no waits."""

_counts = msgspec.msgpack.Decoder(dict[str, int])


async def exchange(shard: Shard, process: str, counts: Mapping[str, int]) -> Counter[str]:
    """Publishes a process's counts; returns the sum of the others'. Raises QueueUnavailable."""
    packed = msgspec.msgpack.encode(dict(counts))
    others = await shard.run(script("waits"), process=process, counts=packed, lifetime=LIFETIME)
    total: Counter[str] = Counter()
    for each in others:
        total.update(_counts.decode(each))
    return total
