"""Shard: a part of the queue whose keys carry one hash tag, so that they are on one server.

Every transition of a job is one script and one round trip, on arq's own keys. The header of each script in
`jobs/ledger/scripts/` lists what it reads and writes.
"""

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from jobs.errors import QueueDamaged, QueueUnavailable, WritesRefused
from jobs.ledger import keys
from jobs.ledger.integrity import NONE, Integrity, Named
from jobs.ledger.keys import Key
from jobs.settings import Settings
from jobs.store.lua import Script, script
from jobs.store.store import Store

SWEEP_EVERY = 1.0
"""Seconds between sweeps, in every worker and every API process."""

SWEEP_LIMIT = 1_000
"""Most jobs that one sweep moves for each reason, so that it does not block the server for long."""


LATE = 2
"""Multiple of `renew_every` after which an unrenewed lease means that its worker may be lost. A lease lasts
at least three. A killed worker is still on the roster then, so there is no time at which neither shows it."""


REFUSED_FOR = 5.0
"""Seconds for which new jobs go to other shards after a submit failed."""

RECENT_MS = 30 * 86_400_000
"""Milliseconds for which the list of an owner's jobs is kept after the newest: the longest life of a job."""

WATCHED_MS = 3_600_000
"""Milliseconds for which the registration of a watcher is kept at least, unless the job ends."""


class Depth(msgspec.Struct, frozen=True):
    """A model's unfinished jobs, and the bytes of their payloads."""

    waiting: int
    deferred: int
    running: int
    bytes: int
    oldest_ms: int = 0
    """Milliseconds since the oldest of the next 64 jobs was accepted."""
    late: int = 0
    """Running jobs whose lease renewal is late."""
    damage: str = ""
    """If another program's data prevents counting: the key and what it holds."""
    inputs: int = 0
    """Inputs of the unfinished jobs."""

    def __add__(self, other: "Depth") -> "Depth":
        return Depth(
            self.waiting + other.waiting,
            self.deferred + other.deferred,
            self.running + other.running,
            self.bytes + other.bytes,
            max(self.oldest_ms, other.oldest_ms),
            self.late + other.late,
            self.damage or other.damage,
            self.inputs + other.inputs,
        )

    @property
    def unfinished(self) -> int:
        return self.waiting + self.deferred + self.running


EMPTY = Depth(0, 0, 0, 0)


class Shard:
    """The keys and scripts of one shard. Its methods raise QueueUnavailable."""

    def __init__(self, number: int, store: Store, settings: Settings, models: Iterable[str] = ()) -> None:
        self.number = number
        self.settings = settings
        self.models = tuple(models)
        self.tag = keys.tag(number, clustered=store.clustered)
        self.redis = store.client(self.tag)
        self.integrity = Integrity(self.redis, self.models, self.tag)
        self.available = True
        """Whether the newest script was answered."""
        self._refused_at = -math.inf
        self._names = self._fixed()
        self._names_of_models: dict[str, dict[str, Any]] = {}

    def key(self, kind: Key, name: str = "") -> str:
        """Returns the key of a job or model in this shard; without a name its prefix."""
        return kind.of(name, self.tag)

    def listing(self, owner: str | None) -> str:
        """Returns the key of the list of the owner's recent jobs; of all jobs for None and for ""."""
        return self.key(keys.RECENT_OF_OWNER, owner) if owner else self.key(keys.RECENT)

    @property
    def takes_jobs(self) -> bool:
        """Whether new jobs should go to this shard rather than to others."""
        return self.available and time.monotonic() - self._refused_at > REFUSED_FOR

    def refused(self) -> None:
        """Notes that a submit failed, for example because no replica has the job."""
        self._refused_at = time.monotonic()

    def _fixed(self) -> dict[str, Any]:
        """Returns the keys and arguments that are the same for every call of a script, by name."""
        return {
            "abort": self.key(keys.ABORT),
            "api_keys": self.key(keys.API_KEYS),
            "outbox": self.key(keys.OUTBOX),
            "recent": self.key(keys.RECENT),
            "roster": self.key(keys.ROSTER),
            "shards": self.key(keys.SHARDS),
            "usage_owners": self.key(keys.USAGE_OWNERS),
            "metered_owners": self.key(keys.METERED_OWNERS),
            "watched": self.key(keys.WATCHED),
            "payloads": self.key(keys.JOB),
            "results": self.key(keys.RESULT),
            "leases": self.key(keys.LEASE),
            "attempts": self.key(keys.ATTEMPTS),
            "progress": self.key(keys.PROGRESS),
            "media": self.key(keys.MEDIA),
            "uploads": self.key(keys.UPLOAD),
            "files": self.key(keys.FILES),
            "partials": self.key(keys.PARTIALS),
            "queue_prefix": self.key(keys.QUEUE),
            "waiting": self.key(keys.WAITING),
            "deadlines_prefix": self.key(keys.DEADLINES),
            "bytes_prefix": self.key(keys.BYTES),
            "inputs_prefix": self.key(keys.INPUTS),
            "owned": self.key(keys.OWNED),
            "waits": self.key(keys.WAITS),
            "owners": self.key(keys.OWNER),
            "rates": self.key(keys.RATES),
            "idempotency": self.key(keys.IDEMPOTENCY),
            "recent_of_owner": self.key(keys.RECENT_OF_OWNER),
            "groups": self.key(keys.GROUP),
            "usage": self.key(keys.USAGE),
            "usage_totals": self.key(keys.USAGE_TOTALS),
            "events": keys.EVENTS,
            "result_ttl": int(self.settings.result_ttl * 1000),
            "idempotency_ttl": int(self.settings.idempotency_ttl * 1000),
            "recent_jobs": self.settings.recent_jobs,
            "recent_lifetime": RECENT_MS,
            "inline": self.settings.inline_bytes,
            "watch_lifetime": WATCHED_MS,
            "lease": int(self.settings.lease * 1000),
        }

    def _of_model(self, model: str) -> dict[str, Any]:
        kinds = {
            "queue": keys.QUEUE,
            "turns": keys.TURNS,
            "shares": keys.SHARES,
            "deadlines": keys.DEADLINES,
            "bytes": keys.BYTES,
            "queued_inputs": keys.INPUTS,
            "doorbell": keys.DOORBELL,
            "swept": keys.SWEPT,
        }
        return {"model": model, **{name: self.key(kind, model) for name, kind in kinds.items()}}

    def parameters(
        self, which: Script, model: str = "", each: Sequence[Any] = (), /, **given: Any
    ) -> list[Any]:
        """Returns a script's keys and arguments: those of the shard, of the model, and the given ones."""
        names = self._names
        if model:
            if model not in self._names_of_models:
                self._names_of_models[model] = names | self._of_model(model)
            names = self._names_of_models[model]
        return which.parameters({**names, **given} if given else names, each)

    async def run(
        self,
        which: Script,
        model: str = "",
        each: Sequence[Any] = (),
        /,
        *,
        many_jobs: bool = False,
        also: Named = NONE,
        **given: Any,
    ) -> Any:
        """Runs a script of this shard, returns its answer. `many_jobs` and `also` as in `Integrity.run`."""
        parameters = self.parameters(which, model, each, **given)
        call = partial(which.run, self.redis, parameters)
        return await self.call(call, many_jobs=many_jobs, also=also)

    async def call(
        self, call: Callable[[], Awaitable[Any]], *, many_jobs: bool = False, also: Named = NONE
    ) -> Any:
        """Makes a call whose errors are named, and notes whether the shard is available."""
        try:
            answer = await self.integrity.run(call, many_jobs=many_jobs, also=also)
        except (QueueDamaged, WritesRefused):
            self.available = True
            raise
        except QueueUnavailable:
            self.available = False
            raise
        self.available = True
        return answer

    async def depth(self, *only: str) -> dict[str, Depth]:
        """Returns the unfinished jobs of all models, or of some, and the age of the oldest that waits."""
        models = only or self.models
        try:
            counts = await self.run(script("depth"), "", models, late=late_ms(self.settings))
        except QueueDamaged as error:  # count the other models one by one
            if len(models) == 1:
                return {models[0]: Depth(0, 0, 0, 0, damage=str(error))}
            return {model: (await self.depth(model))[model] for model in models}
        each = [counts[7 * i : 7 * i + 7] for i in range(len(models))]
        return {
            model: replace(Depth(*found), inputs=inputs)
            for model, (*found, inputs) in zip(models, each, strict=True)
        }

    async def sweep(self, model: str) -> tuple[int, int, int]:
        """Requeues jobs whose lease ended, expires overdue jobs, ends aborted jobs; returns how many of each.

        Workers and the API call it every SWEEP_EVERY seconds, so that deadlines are kept without a worker.
        If there was no sweep for three times that, for example because Redis was stopped, leases are extended
        so that live workers can renew them.
        """
        given_back, expired, aborted = await self.run(
            script("sweep"),
            model,
            many_jobs=True,
            most_jobs=SWEEP_LIMIT,
            unswept=int(3 * SWEEP_EVERY * 1000),
            extension=int(self.settings.lease * 1000) // 2,
        )
        return given_back, expired, aborted


def late_ms(settings: Settings) -> int:
    """Returns the remaining milliseconds of a lease at or below which its renewal is late."""
    return int(1000 * (settings.lease - LATE * settings.renew_every))
