"""Counters of owners for Prometheus: totals that never decrease, of a limited number of owners.

The scripts that end jobs add to the totals of the job's owner if it has some in the shard, otherwise to those
of all other owners together (`usage.lua`). A scrape gives an owner totals, which begin at 0, in all shards,
until BATCHLINE_METRICS_OWNERS owners have some. So neither an owner's counters nor those of the others fall
when owners come or go. An owner whose last job ended more than 90 days ago makes room.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jobs.ledger import keys
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.monitoring.usage import HOUR, KEPT_HOURS, NOTHING, Used, by_model, hashes
from jobs.store.lua import script

OTHERS = "_other"
"""Stands for all owners without counters of their own; no owner can have this name."""

SINCE = "since"
"""A field of totals that are all 0, because Redis keeps no empty hash."""

LIFETIME_MS = KEPT_HOURS * HOUR * 1000

STATES = ("succeeded", "failed", "cancelled", "expired")

COUNTERS = {
    "inputs": "Inputs with an output or an error, of the owner's jobs",
    "inputs_failed": "Inputs with an error, of the owner's jobs",
    "tokens": "Tokens that models computed for the owner's jobs; 0 if tokens are not counted",
    "compute_seconds": "Seconds that engines computed for the owner's jobs; shared batches are divided",
}
_FIELDS = {"inputs_failed": "failed_inputs"}
"""Metric -> field of Used, if the names differ."""

Totals = Mapping[tuple[str, str], Used]
"""Owner and model -> what their jobs used."""


class _Part(NamedTuple):
    """What one shard knows."""

    newest: Sequence[str]
    """Owners with the newest endings."""
    known: frozenset[str]
    """Those of the owners with totals whose newest job ended less than 90 days ago."""
    totals: Sequence[Mapping[bytes, bytes]]


class OwnerTotals:
    """Reads the totals of all shards."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._most = shards.settings.metrics_owners

    async def read(self) -> Totals:
        """Returns the totals; none if a shard does not answer, because they would be too low.

        Raises QueueUnavailable if the first shard does not answer.
        """
        if not self._most:
            return {}
        first = self._shards.first
        async with first.integrity.intact():
            found = await first.redis.zrange(first.key(keys.METERED_OWNERS), 0, -1)
        names = [name.decode("utf-8", "replace") for name in found]
        parts = await self._parts(names)
        if parts is None:
            return {}
        newest = dict.fromkeys(owner for part in parts.values() for owner in part.newest)
        leaving = [name for name in names if not any(name in part.known for part in parts.values())]
        leaving += [name for name in names if name not in leaving][self._most :]
        coming = [owner for owner in newest if owner not in names]
        if leaving or (coming and len(names) < self._most):
            names = await self._change(leaving, coming)
            parts = await self._parts(names)
        if not names or parts is None:
            return {}
        await self._begin(names, parts)
        sums: dict[tuple[str, str], Used] = {}
        for part in parts.values():
            for name, counters in zip([*names, OTHERS], part.totals, strict=True):
                for model, used in by_model(counters):
                    sums[name, model] = sums.get((name, model), NOTHING) + used
        used_by = {owner for owner, _ in sums}
        # Prometheus computes no rate for a series that begins with its first event
        unused = [name for name in (*names, OTHERS) if name not in used_by]
        return sums | {(name, model): NOTHING for name in unused for model in self._shards.models}

    async def _parts(self, names: Sequence[str]) -> Mapping[int, _Part] | None:
        async def read(shard: Shard) -> _Part:
            index = shard.key(keys.USAGE_OWNERS)
            async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
                pipe.zrevrange(index, 0, self._most - 1)
                pipe.zmscore(index, [*names, OTHERS])
                newest, hours = await pipe.execute()
            known = frozenset(
                name for name, hour in zip([*names, OTHERS], hours, strict=True) if hour is not None
            )
            totals = [shard.key(keys.USAGE_TOTALS, name) for name in (*names, OTHERS)]
            return _Part(
                [each.decode("utf-8", "replace") for each in newest], known, await hashes(shard, totals)
            )

        found = await self._shards.each(read)
        return found if len(found) == len(self._shards) else None

    async def _change(self, leaving: Sequence[str], coming: Sequence[str]) -> list[str]:
        """Removes owners and adds others while there is room; returns all that have totals then."""

        async def forget(shard: Shard) -> None:
            async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
                for name in leaving:
                    pipe.delete(shard.key(keys.USAGE_TOTALS, name))
                await pipe.execute()

        if leaving:
            await self._shards.each(forget)
        found = await self._shards.first.run(
            script("list_owners"),
            "",
            [*leaving, *coming],
            most_owners=self._most,
            lifetime=LIFETIME_MS,
            leaving=len(leaving),
        )
        return [name.decode("utf-8", "replace") for name in found]

    async def _begin(self, names: Sequence[str], parts: Mapping[int, _Part]) -> None:
        """Begins totals at 0 where there are none."""
        for number, part in parts.items():
            missing = [name for name, found in zip([*names, OTHERS], part.totals, strict=True) if not found]
            if missing:
                shard = self._shards[number]
                async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
                    for name in missing:
                        pipe.hsetnx(shard.key(keys.USAGE_TOTALS, name), SINCE, "0")
                        pipe.pexpire(shard.key(keys.USAGE_TOTALS, name), LIFETIME_MS)
                    await pipe.execute(raise_on_error=False)  # another program's data stays


class OwnerCollector(Collector):
    """One scrape's totals."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        jobs = CounterMetricFamily(
            "batchline_owner_jobs", "Ended jobs of the owner, by state", labels=["owner", "model", "state"]
        )
        for (owner, model), used in self._totals.items():
            for state in STATES:
                jobs.add_metric([owner, model, state], getattr(used, state))
        yield jobs
        for name, help_text in COUNTERS.items():
            counter = CounterMetricFamily(f"batchline_owner_{name}", help_text, labels=["owner", "model"])
            for (owner, model), used in self._totals.items():
                counter.add_metric([owner, model], getattr(used, _FIELDS.get(name, name)))
            yield counter
