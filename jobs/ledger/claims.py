"""Claims: the worker's operations on the ledger: claim, start, note, renew, finish, release."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from arq.connections import ArqRedis

from jobs.ledger import doorbell, keys
from jobs.ledger.leasing import Claimed, Ending, Progress, claims, new_token
from jobs.ledger.queues import Queues
from jobs.ledger.wire import record_head
from jobs.process import failpoints
from jobs.settings import Settings
from jobs.store import lua

UNREADABLE = ("invalid-request", "the payload cannot be read: its key holds another program's data")
"""The error of a job whose payload another program replaced with a value that is not a string."""

PROGRESS_TTL = 86_400_000
"""ms"""


class Claims(Queues):
    """Leases jobs to one worker and ends or returns them."""

    def __init__(self, redis: ArqRedis, settings: Settings, models: Iterable[str], worker: str = "") -> None:
        """`worker` is the id of the worker, as in its heartbeat."""
        super().__init__(redis, settings, models)
        self._worker = worker
        self._start = lua.Script(redis, "start")
        self._claim = lua.Script(redis, "claim")
        self._renew = lua.Script(redis, "renew")
        self._finish = lua.Script(redis, "finish")
        self._release = lua.Script(redis, "release")
        self._progress = lua.Script(redis, "progress")
        self._unreadable = record_head(UNREADABLE)

    async def claim(
        self,
        model: str,
        inputs: int,
        workers: int = 1,
        *,
        size: int | None = None,
        before: float | None = None,
        wait: float = 0.0,
    ) -> tuple[list[Claimed], int]:
        """Leases the most urgent jobs, up to `inputs` inputs; returns them and how many jobs still wait.

        Stops at the first job that brings the payloads to `size` bytes or more, by default `window_bytes`.
        With several `workers` on the queue a claim takes its share, so that they finish a burst together.
        With `before` it takes only more urgent jobs, with a score below that. With `wait` it first waits up
        to that many seconds for a submit; Redis then runs the claim without another round trip.
        """
        token = new_token(self._worker)
        claim_keys = [*keys.of_queue(model), keys.RECENT.pattern, keys.ABORT.pattern]
        args = [
            inputs,
            self.settings.window_bytes if size is None else size,
            int(self.settings.lease * 1000),
            token,
            self.settings.recent_jobs,
            keys.EVENTS,
            self._ttl,
            self._ended,
            *self._prefixes,
            workers,
            "+inf" if before is None else int(before),
            self._unreadable,
        ]
        claim = partial(doorbell.answer, self.redis, model, wait, self._claim) if wait else self._claim
        answer = await self._run(claim, claim_keys, args)
        failpoints.reach("after_claim")
        now, left, *rest = answer
        return claims(rest, token, now, self._worker), left

    async def start(self, jobs: Iterable[Claimed]) -> None:
        """Charges an attempt to jobs whose first batch starts."""
        parts = [part for job in jobs for part in (job.id, job.token, job.attempts + 1)]
        await self._run(self._start, [], [keys.LEASE.of(""), keys.ATTEMPTS.of(""), *parts])

    async def renew(self, model: str, jobs: Iterable[Claimed]) -> tuple[set[str], set[str]]:
        """Extends the leases; returns the ids of jobs with a lost lease, and of jobs that ended elsewhere."""
        pairs = [part for job in jobs for part in (job.id, job.token)]
        lost, over = await self._run(
            self._renew,
            [keys.QUEUE.of(model)],
            [int(self.settings.lease * 1000), keys.LEASE.of(""), keys.RESULT.of(""), *pairs],
        )
        return {job_id.decode() for job_id in lost}, {job_id.decode() for job_id in over}

    async def note(self, progress: Iterable[Progress]) -> set[str]:
        """Appends outcomes of jobs whose lease is still valid, for readers and for the next worker.

        Returns the ids of jobs whose outcomes must all be sent again.
        """
        names: list[str] = []
        parts: list[Any] = [PROGRESS_TTL, keys.EVENTS]
        for job in progress:
            names += (keys.LEASE.of(job.id), keys.PROGRESS.of(job.id))
            parts += (job.id, job.token, job.before, job.succeeded, job.failed, len(job.outcomes))
            parts += job.outcomes
        deleted = await self._run(self._progress, names, parts)
        failpoints.reach("after_note")
        return {job_id.decode() for job_id in deleted}

    async def noted(self, job_id: str) -> list[bytes]:
        """Returns the outcomes that `note` appended, by any worker, in that order."""
        async with self.integrity.intact():
            found: list[bytes] = await self.redis.lrange(keys.PROGRESS.of(job_id), 1, -1)  # type: ignore[misc]
        return found

    async def finish(self, model: str, endings: Sequence[Ending]) -> set[str]:
        """Ends the jobs whose lease is still valid, in one step; returns the ids of the refused ones."""
        failpoints.reach("before_finish")
        parts = [part for e in endings for part in (e.id, e.token, e.state, e.head)]
        refused = await self._run(
            self._finish,
            [keys.QUEUE.of(model), keys.BYTES.of(model), keys.ABORT.pattern],
            [self._ttl, self.settings.inline_bytes, keys.EVENTS, *self._prefixes, *parts],
            many_jobs=True,
        )
        failpoints.reach("after_finish")
        return {job_id.decode() for job_id in refused}

    async def release(
        self, model: str, jobs: Sequence[tuple[Claimed, int]], *, uncharged: bool = True
    ) -> int:
        """Returns jobs without a result to the queue, each with its latest start in Unix ms, or 0 for none.

        `uncharged` removes the attempts of their starts; False if the worker could not stop them in order.
        """
        parts = [
            part
            for job, start_by in jobs
            for part in (job.id, job.token, job.score, start_by, job.attempts if uncharged else "")
        ]
        given_back: int = await self._run(
            self._release,
            [keys.QUEUE.of(model), keys.DEADLINES.of(model), keys.DOORBELL.of(model)],
            [keys.EVENTS, keys.LEASE.of(""), keys.ATTEMPTS.of(""), *parts],
        )
        return given_back
