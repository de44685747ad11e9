"""Usage: what the ended jobs of named owners used, by owner, model and hour; kept for 90 days.

The scripts that end jobs count it (`usage.lua`), each in the shard of the job. Hours begin at full hours of
UTC by the server's clock, and a job counts in the hour in which it ended. The anonymous owner's jobs are not
counted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from redis.exceptions import ResponseError

from jobs.errors import InvalidRequest, QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards

HOUR = 3600
"""Seconds."""

KEPT_HOURS = 90 * 24
"""As `KEPT` in usage.lua."""

MOST_READS = 100_000
"""Most hashes that one call reads: hours, of all owners and in all shards."""

CHUNK = 500
"""Hashes that one pipeline reads, so that Redis and this process serve others between."""


class Used(msgspec.Struct, frozen=True):
    """What some jobs used. The fields are the counters in Redis."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    """Ended jobs, by their state."""
    inputs: int = 0
    """Inputs with an output or an error."""
    failed_inputs: int = 0
    """Inputs with an error."""
    tokens: int = 0
    """Tokens that the model computed for them; 0 if the model counts none."""
    compute_us: int = 0
    """Microseconds of the engine: of a batch with other jobs, their part of it."""

    def __add__(self, other: "Used") -> "Used":
        return Used(*(mine + theirs for mine, theirs in zip(self._values(), other._values(), strict=True)))

    def _values(self) -> tuple[int, ...]:
        return msgspec.structs.astuple(self)

    @property
    def jobs(self) -> int:
        """All ended jobs."""
        return self.succeeded + self.failed + self.cancelled + self.expired

    @property
    def compute_seconds(self) -> float:
        return self.compute_us / 1e6


NOTHING = Used()


class Place(NamedTuple):
    """What a number counts: one model of one owner in one hour."""

    owner: str
    model: str
    hour: int
    """Hours since 1970."""


class Usage:
    """Reads the counters of all shards. Its methods raise QueueUnavailable if a shard does not answer.

    A sum without one of the shards would be too low without a sign of it.
    """

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def hour(self) -> int:
        """Returns the current hour by the server's clock."""
        shard = self._shards.first
        async with shard.integrity.intact():
            seconds, _ = await shard.redis.time()
        return int(seconds) // HOUR

    async def owners(self, since: int = 0) -> list[str]:
        """Returns the owners whose newest job ended in the hour `since` or later, sorted."""

        async def read(shard: Shard) -> list[bytes]:
            async with shard.integrity.intact():
                found: list[bytes] = await shard.redis.zrangebyscore(
                    shard.key(keys.USAGE_OWNERS), since, "+inf"
                )
            return found

        found = await self._each(read)
        return sorted({owner.decode("utf-8", "replace") for owners in found for owner in owners})

    async def newest(self, most: int) -> dict[str, int]:
        """Returns the owners with the newest endings, at most so many, and the hour of each."""

        async def read(shard: Shard) -> list[tuple[bytes, float]]:
            async with shard.integrity.intact():
                found: list[tuple[bytes, float]] = await shard.redis.zrevrange(
                    shard.key(keys.USAGE_OWNERS), 0, most - 1, withscores=True
                )
            return found

        hours: dict[str, int] = {}
        for name, hour in (pair for found in await self._each(read) for pair in found):
            owner = name.decode("utf-8", "replace")
            hours[owner] = max(int(hour), hours.get(owner, 0))
        return dict(sorted(hours.items(), key=lambda each: (-each[1], each[0]))[:most])

    async def waiting(self, owners: Sequence[str]) -> dict[str, int]:
        """Returns how many jobs of each owner wait for a worker."""
        models = self._shards.models

        async def read(shard: Shard) -> list[Any]:
            async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
                for owner in owners:
                    for model in models:
                        pipe.zcard(shard.key(keys.WAITING, f"{owner}:{model}"))
                counts: list[Any] = await pipe.execute()
            return counts

        found = await self._each(read)
        sums = [sum(counts) for counts in zip(*found, strict=True)]
        step = len(models)
        return {owner: sum(sums[at * step : (at + 1) * step]) for at, owner in enumerate(owners)}

    async def read(self, owners: Sequence[str], begin: int, end: int) -> dict[Place, Used]:
        """Returns what the owners used from the hour `begin` until before the hour `end`.

        Raises InvalidRequest if that is too much for one call.
        """
        wanted = [(owner, hour) for owner in owners for hour in range(begin, end)]
        if len(wanted) * len(self._shards) > MOST_READS:
            most = MOST_READS // (len(self._shards) * max(1, len(owners)))
            raise InvalidRequest(
                f"{end - begin} hours of {len(owners)} owners are too many for one request; ask for one owner"
                f" or for at most {max(1, most)} hours"
            )

        async def read(shard: Shard) -> list[Mapping[bytes, bytes]]:
            names = [shard.key(keys.USAGE, f"{owner}:{hour}") for owner, hour in wanted]
            return await hashes(shard, names)

        total: dict[Place, Used] = {}
        for answers in await self._each(read):
            for (owner, hour), counters in zip(wanted, answers, strict=True):
                for model, used in by_model(counters):
                    place = Place(owner, model, hour)
                    total[place] = total.get(place, NOTHING) + used
        return total

    async def _each(self, work: Any) -> list[Any]:
        answers = await self._shards.each(work)
        if len(answers) < len(self._shards):
            raise QueueUnavailable("a shard does not answer, so its part of the usage is not known")
        return list(answers.values())


async def hashes(shard: Shard, names: Sequence[str]) -> list[Mapping[bytes, bytes]]:
    """Returns the hashes; {} for one that does not exist, or is another program's data."""
    found: list[Mapping[bytes, bytes]] = []
    for first in range(0, len(names), CHUNK):
        async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
            for name in names[first : first + CHUNK]:
                pipe.hgetall(name)
            answers = await pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
                raise answer
            found.append(answer if isinstance(answer, dict) else {})
    return found


def by_model(counters: Mapping[bytes, bytes]) -> Iterator[tuple[str, Used]]:
    """Yields each model with what was used of it, from a hash that `usage.lua` wrote."""
    models: dict[str, dict[str, int]] = {}
    for field, value in counters.items():
        model, _, counter = field.decode("utf-8", "replace").rpartition(":")
        if counter in Used.__struct_fields__ and value.isdigit():
            models.setdefault(model, {})[counter] = int(value)
    for model, numbers in models.items():
        yield model, Used(**numbers)


def total(used: Iterable[Used]) -> Used:
    return sum(used, NOTHING)
