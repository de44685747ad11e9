"""Builders that stand in for a worker where a test needs one: claims and endings of jobs. No engine here."""

import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from arq.connections import ArqRedis

from jobs.ledger import keys, views
from jobs.ledger.claims import Claims
from jobs.ledger.envelope import owner, terms
from jobs.ledger.keys import Key
from jobs.ledger.leasing import Claimed, Ending, Progress
from jobs.ledger.ledger import Ledger
from jobs.ledger.listing import ALL, Filter
from jobs.ledger.partials import Appended, Output, Restarted, encoded
from jobs.ledger.reading import INLINE_BYTES, SLICE, Outcomes
from jobs.ledger.records import Header, encode_head
from jobs.ledger.rounds import Rounds
from jobs.ledger.shard import Depth, Shard
from jobs.ledger.shards import Shards
from jobs.ledger.views import JobInputs
from jobs.ledger.wire import decode_payload
from jobs.monitoring.roster import Heartbeat
from jobs.schema import Job, JobState
from jobs.settings import Settings
from jobs.store.store import Server, Store

OfJob = TypeVar("OfJob", Claimed, Progress, Ending)

MODEL = "sentiment"

SHARDS = int(os.environ.get("TEST_SHARDS", "1"))
"""Shards of the queues that tests use, unless a test is about another number."""

TOKENS, COMPUTE_US = 10, 1500
"""What `ending` reports: tokens of each input, and microseconds of the engine of each job."""

WATCHER = "0123456789abcdef"
"""The name of an API process."""


class JobQueue(Ledger):
    """Both sides of the ledger, for a test that is the client and the worker at once."""

    def __init__(
        self, redis: ArqRedis | Store, settings: Settings, models: Iterable[str], worker: str = ""
    ) -> None:
        store = Server(redis) if isinstance(redis, ArqRedis) else redis
        super().__init__(Shards(store, settings, models))
        self.redis = store.client("")
        self._worker = worker
        self._rounds: dict[str, Rounds] = {}
        self._claimed: dict[str, int] = {}
        """Claimed job -> its shard."""

    # As a client it may see the jobs of all owners, unless a test says otherwise.

    async def read(
        self,
        job_id: str,
        inline: int = INLINE_BYTES,
        *,
        sees: str | None = None,
        watcher: str = "",
        endings_only: bool = False,
    ) -> Job:
        return await super().read(job_id, inline, sees=sees, watcher=watcher, endings_only=endings_only)

    async def outcomes(
        self, job_id: str, after: int, most: int = SLICE, *, sees: str | None = None
    ) -> Outcomes:
        return await super().outcomes(job_id, after, most, sees=sees)

    async def cancel(self, job_id: str, inline: int = INLINE_BYTES, *, sees: str | None = None) -> Job:
        return await super().cancel(job_id, inline, sees=sees)

    async def recent(
        self, limit: int, after: str | None = None, wanted: Filter = ALL, *, sees: str | None = None
    ) -> tuple[list[Job], str | None]:
        return await super().recent(limit, after, wanted, sees=sees)

    async def find(self, end: str, limit: int, *, sees: str | None = None) -> dict[str, Job | None]:
        return await super().find(end, limit, sees=sees)

    async def inputs_of(self, job_id: str) -> JobInputs:
        return await self.inputs(await self.read(job_id))

    async def shard(self, job_id: str) -> Shard:
        """The shard that the id names; ids of release 0.1 and of stock arq clients may name a wrong one."""
        return (await self.shards.of(job_id))[0]

    async def key(self, kind: Key, job_id: str) -> str:
        """The key of a job in its own shard."""
        return (await self.shard(job_id)).key(kind, job_id)

    async def beside(self, kind: Key, job_id: str, model: str = MODEL) -> str:
        """The key of a model, or of all models, in the shard of a job."""
        return (await self.shard(job_id)).key(kind, model if "*" in kind.pattern else "")

    def everywhere(self, kind: Key, name: str = MODEL) -> list[str]:
        """The keys of a model, or of all models, in every shard."""
        return [shard.key(kind, name if "*" in kind.pattern else "") for shard in self.shards]

    async def members(self, kind: Key, model: str = MODEL) -> int:
        """The members of a model's sorted sets in all shards."""
        return sum([await self.redis.zcard(key) for key in self.everywhere(kind, model)])

    async def depth(self, *only: str) -> dict[str, Depth]:
        return await self.shards.depth(*only)

    async def sweep(self, model: str) -> tuple[int, int, int]:
        swept = [await shard.sweep(model) for shard in self.shards]
        given_back, expired, aborted = map(sum, zip(*swept, strict=True))
        return given_back, expired, aborted

    async def claim(
        self, model: str, inputs: int, workers: int = 1, **options: Any
    ) -> tuple[list[Claimed], int]:
        rounds = self._rounds.setdefault(model, Rounds(self.shards, model, self._worker))
        for view in rounds._views:
            view.looked = -math.inf  # so that it sees what the test did in the last 0.1 s, in every shard
        claimed, left = await rounds.claim(inputs, workers, **options)
        self._claimed |= {job.id: job.shard for job in claimed}
        return claimed, left

    async def start(self, jobs: Iterable[Claimed], model: str = MODEL) -> None:
        for claims, some in self._by_shard(jobs):
            await claims.start(model, some)

    async def renew(self, model: str, jobs: Iterable[Claimed]) -> tuple[set[str], set[str]]:
        lost: set[str] = set()
        over: set[str] = set()
        for claims, some in self._by_shard(jobs):
            found = await claims.renew(model, some)
            lost |= found[0]
            over |= found[1]
        return lost, over

    async def note(self, progress: Iterable[Progress]) -> set[str]:
        return {job for claims, some in self._by_shard(progress) for job in await claims.note(some)}

    async def store(self, files: Iterable[tuple[Claimed, str, bytes]]) -> None:
        for job, name, content in files:
            await self._claims(job.shard).store([(job, name, content)])

    async def append(self, job: Claimed, before: int, *entries: Output | Restarted) -> int:
        """Appends partial answers; returns their length, as `Claims.append`."""
        lines = b"".join(map(encoded, entries))
        claims = self._claims(self._claimed.get(job.id, job.shard))
        [length] = await claims.append([Appended(job.id, job.token, before, lines)])
        return length

    async def noted(self, job_id: str) -> list[bytes]:
        return await self._claims(self._claimed[job_id]).noted(job_id)

    async def finish(self, model: str, endings: Sequence[Ending]) -> set[str]:
        return {job for claims, some in self._by_shard(endings) for job in await claims.finish(model, some)}

    async def release(
        self, model: str, jobs: Sequence[tuple[Claimed, int]], *, uncharged: bool = True
    ) -> int:
        latest = {job.id: start_by for job, start_by in jobs}
        released = 0
        for claims, some in self._by_shard(job for job, _ in jobs):
            pairs = [(job, latest[job.id]) for job in some]
            released += await claims.release(model, pairs, uncharged=uncharged)
        return released

    async def lapse(self, job_id: str) -> None:
        """Ends a running job's lease, as if it had not been renewed while sweeps came steadily."""
        await self.redis.zadd(await self.beside(keys.QUEUE, job_id), {job_id: keys.RUNNING + 1}, xx=True)
        await self.redis.set(await self.beside(keys.SWEPT, job_id), 1, px=60_000)

    async def close(self) -> None:
        for rounds in self._rounds.values():
            await rounds.close()

    def _claims(self, shard: int) -> Claims:
        return Claims(self.shards[shard], self._worker)

    def _by_shard(self, jobs: Iterable[OfJob]) -> list[tuple[Claims, list[OfJob]]]:
        found: dict[int, list[OfJob]] = {}
        for job in jobs:
            found.setdefault(self._claimed.get(job.id, 0), []).append(job)
        return [(self._claims(shard), some) for shard, some in found.items()]


def ending(claimed: Claimed, results: list[dict[str, Any]] | None = None, model: str = MODEL) -> Ending:
    """A job that ran: with results given, or POSITIVE for each input."""
    inputs = views.inputs_of(claimed.payload).inputs
    results = results or [{"output": [{"label": "POSITIVE", "score": 0.98}]} for _ in inputs]
    errors = [result["error"] for result in results if "error" in result]
    state = JobState.FAILED if len(errors) == len(results) else JobState.SUCCEEDED
    error = ("input-failed", errors[0]["detail"]) if errors else None
    return _ending(claimed, msgspec.json.encode(results), len(results), state, model, error, len(errors))


def with_files(ending: Ending, *, kept: bool = True) -> Ending:
    """The ending of a job whose outputs have files."""
    asked = msgspec.msgpack.decode(ending.terms) if ending.terms else {}
    return msgspec.structs.replace(ending, terms=msgspec.msgpack.encode(asked | {"files": kept}))


def with_results(claimed: Claimed, results: bytes, inputs: int, model: str = MODEL) -> Ending:
    """A job that succeeded, with these results as JSON."""
    return _ending(claimed, results, inputs, JobState.SUCCEEDED, model)


def _ending(
    claimed: Claimed,
    results: bytes,
    inputs: int,
    state: JobState,
    model: str,
    error: tuple[str, str] | None = None,
    failed: int = 0,
) -> Ending:
    keywords = decode_payload(claimed.payload).k
    header = Header(
        model=model,
        state=state[0],
        n=inputs,
        failed=failed,
        attempts=claimed.attempts + 1,
        created=decode_payload(claimed.payload).et,
        started=claimed.claimed_ms,
        error=error,
        worker=claimed.worker or None,
        compute=1.5,
        batch=(inputs, 0.25),
        owner=owner(keywords),
    )
    usage = (inputs, failed, TOKENS * inputs, COMPUTE_US)
    asked = terms(keywords, usage)
    total = n if isinstance(n := keywords.get("n"), int) else inputs
    return Ending(claimed.id, claimed.token, state, encode_head(header), results, asked, total)


def first_shard(redis: ArqRedis, settings: Settings | None = None) -> Shard:
    """The shard with the roster and the history."""
    return Shard(0, Server(redis), settings or Settings())


async def run_one(
    queue: JobQueue, results: list[dict[str, Any]] | None = None, model: str = MODEL
) -> Claimed | None:
    """Claims one job and finishes it; None when none waits."""
    claimed, _ = await queue.claim(model, 1)
    if not claimed:
        return None
    assert await queue.finish(model, [ending(claimed[0], results, model)]) == set()
    return claimed[0]


def heartbeat(worker_id: str = "host-1", model: str = MODEL, **fields: Any) -> Heartbeat:
    """A live worker with a ready engine."""
    return Heartbeat(
        **{
            "id": worker_id,
            "model": model,
            "host": "host",
            "pid": 1,
            "started": 1_700_000_000.0,
            "engine": "ready",
            "device": "cpu",
            "dtype": "float32",
            **fields,
        }
    )
