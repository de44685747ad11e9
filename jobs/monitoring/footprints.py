"""Footprints: how much memory of Redis a finished job of each model takes and for how long, from a sample."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from jobs.errors import QueueDamaged
from jobs.ledger import keys, records
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.store.connection import availability
from jobs.store.durability import is_forbidden

EXAMINED = 240
"""Most of the newest jobs that one sample examines, over all shards."""

MOST_SHARDS = 8
"""Most shards that one sample examines; others are examined the next time."""

SAMPLED = 16
"""Most jobs of one model in a sample of one shard."""

KEPT = (keys.RESULT, keys.JOB, keys.MEDIA, keys.FILES)
"""Keys that an ended job may have; the first is its record."""

HEAD = 192
"""First bytes of a record, which contain the name of its model."""

ENTRY = 36
"""Bytes of a key in the server's tables of keys and lifetimes, which MEMORY USAGE does not count (measured
with Valkey 9: a finished job takes 43 bytes more than its one key, 70 more with a second)."""


class Footprint(NamedTuple):
    """What a finished job of a model takes, the mean of a sample."""

    bytes: float
    """Of its record, of the files of its outputs, and of its inputs if they are kept."""
    seconds: float
    """For which it is kept, weighted by the bytes: `bytes * seconds` is the mean product."""

    def together(self, rate: float) -> float:
        """Returns the bytes of all finished jobs while that many end per second."""
        return rate * self.bytes * self.seconds

    def rate_in(self, free: float) -> float:
        """Returns the jobs per second whose results take that many bytes."""
        return max(0.0, free) / (self.bytes * self.seconds)


class _Kept(NamedTuple):
    """An ended job of the sample."""

    model: str
    id: str
    seconds: float
    """From its end to the end of its lifetime."""


async def read(shards: Shards) -> dict[str, Footprint]:
    """Returns the footprint of each model with a finished job among the newest jobs.

    At most three round trips to each of MOST_SHARDS shards. Jobs with a short lifetime have fewer chances to
    be in the sample, so a mixture is estimated too high rather than too low. Models are left out if the
    server forbids MEMORY USAGE. Raises QueueUnavailable.
    """
    some = random.sample(list(shards), min(len(shards), MOST_SHARDS))
    found = await asyncio.gather(*(_sample(shard, EXAMINED // len(some)) for shard in some))
    by_model: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for job, size in (pair for pairs in found for pair in pairs):
        by_model[job.model].append((size, job.seconds))
    return {model: _mean(pairs) for model, pairs in by_model.items()}


def _mean(pairs: Sequence[tuple[int, float]]) -> Footprint:
    size = sum(size for size, _ in pairs)
    return Footprint(size / len(pairs), sum(size * seconds for size, seconds in pairs) / size)


async def _sample(shard: Shard, most: int) -> list[tuple[_Kept, int]]:
    """Returns ended jobs of the shard's newest, each with its bytes."""
    with suppress(QueueDamaged):  # the listing holds another program's data
        async with availability():
            ids = await shard.redis.zrevrange(shard.key(keys.RECENT), 0, most - 1)
            kept = await _kept(shard, [job_id.decode() for job_id in ids])
            sizes = await _sizes(shard, kept)
            return [(job, size) for job, size in zip(kept, sizes, strict=True) if size]
    return []


async def _kept(shard: Shard, ids: Sequence[str]) -> list[_Kept]:
    if not ids:
        return []
    async with shard.redis.pipeline(transaction=False) as pipe:
        pipe.time()
        for job_id in ids:
            key = shard.key(keys.RESULT, job_id)
            pipe.getrange(key, 0, HEAD - 1)
            pipe.pttl(key)
        (seconds, microseconds), *answers = await _answers(pipe)
    now = seconds * 1000 + microseconds // 1000
    return list(_chosen(ids, answers[::2], answers[1::2], now))


def _chosen(ids: Sequence[str], heads: Sequence[Any], left: Sequence[Any], now: int) -> Iterator[_Kept]:
    """Yields the jobs that have ended, at most SAMPLED of each model; skips another program's data."""
    count: dict[str, int] = defaultdict(int)
    for job_id, head, milliseconds in zip(ids, heads, left, strict=True):
        if not isinstance(head, bytes) or (found := records.summary(head)) is None or milliseconds <= 0:
            continue
        model, finished = found
        count[model] += 1
        if count[model] <= SAMPLED:
            yield _Kept(model, job_id, max(1, now - finished + milliseconds) / 1000)


async def _sizes(shard: Shard, kept: Sequence[_Kept]) -> list[int]:
    """Returns the bytes of each job's keys; 0 if it is gone by now, or if the server does not say."""
    if not kept:
        return []
    async with shard.redis.pipeline(transaction=False) as pipe:
        for job in kept:
            for kind in KEPT:
                pipe.memory_usage(shard.key(kind, job.id))
        sizes = await _answers(pipe)
    if errors := [size for size in sizes if isinstance(size, RedisError)]:
        if not is_forbidden(errors[0]):
            raise errors[0]
        return [0] * len(kept)
    jobs = zip(*[iter(sizes)] * len(KEPT), strict=True)
    return [sum(size + ENTRY for size in each if size) if each[0] else 0 for each in jobs]


async def _answers(pipe: Pipeline) -> list[Any]:
    """Returns the answers, or the errors of single commands."""
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    return answers
