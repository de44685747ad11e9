"""JobQueue: every transition of a job, each one script and one round trip, on arq's own keys.

The client's side (submit, read, cancel, list, count) is what the API uses; the worker's side
(claim, renew, finish, release, sweep) is what `worker/batch_worker.py` uses. What each script reads
and writes is told in its header in `jobs/ledger/scripts/`.
"""

import hashlib
import math
import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import structlog
from arq.connections import ArqRedis

from jobs.errors import IdempotencyMismatch, JobGone, JobNotFound, QueueDamaged, QueueFull
from jobs.ledger import doorbell, keys, views
from jobs.ledger.ids import new_id
from jobs.ledger.integrity import Integrity
from jobs.ledger.leasing import Claimed, Depth, Ending, claims, late_ms
from jobs.ledger.listing import Listing
from jobs.ledger.reading import ALONG, Reading, job_keys
from jobs.ledger.submitting import Submission, Submits
from jobs.ledger.wire import encode_payload, record_head
from jobs.process import failpoints, logs
from jobs.schema import Job, NewJob
from jobs.settings import Settings
from jobs.store import durability, lua

log = structlog.get_logger(__name__)

HEAD_STARTS = {"high": 2, "normal": 1, "low": 0}
"""Priorities as multiples of `head_start`; a score must not lie in the future, so the low have none."""

SWEEP_EVERY = 1.0
"""Seconds between sweeps, by every worker and every API process."""

SWEEP_LIMIT = 1_000
"""Most jobs that one sweep moves for each reason, so that it never blocks the server for long."""


class JobQueue:
    """The durable queue of all models on one Redis."""

    def __init__(self, redis: ArqRedis, settings: Settings, models: Iterable[str]) -> None:
        self.redis = redis
        self.settings = settings
        self.models = tuple(models)
        self.integrity = Integrity(redis, self.models)
        self._run = self.integrity.run
        send = partial(self._run, durability.submit_script(redis, settings.durable_submit))
        self._submits = {model: Submits(send, settings, model) for model in self.models}
        self._cancel = lua.Script(redis, "cancel")
        self._depth = lua.Script(redis, "depth")
        self._sweep = lua.Script(redis, "sweep")
        self._start = lua.Script(redis, "start")
        self._claim = lua.Script(redis, "claim")
        self._renew = lua.Script(redis, "renew")
        self._finish = lua.Script(redis, "finish")
        self._release = lua.Script(redis, "release")
        self._ttl = int(settings.result_ttl * 1000)
        self._ended = record_head(success=False)
        self.reading = Reading(redis, self.integrity, self.models, self._ttl)
        self._listing = Listing(redis, self.integrity, self.reading)
        self._prefixes = [key.of("") for key in (keys.JOB, keys.RESULT, keys.LEASE, keys.ATTEMPTS)]

    # The client's side

    async def submit(
        self, job: NewJob, *, idempotency_key: str | None = None, job_id: str | None = None
    ) -> tuple[Job, bool]:
        """Accepts a job, or finds the one accepted before under the same idempotency key.

        Returns the job and whether it is a replay. Raises QueueFull, IdempotencyMismatch (the key was used
        with another request), JobGone (the earlier job's lifetime is over) and QueueUnavailable.
        """
        job_id = job_id or new_id()
        extras: dict[str, Any] = {"n": job.count, "priority": job.priority, "parameters": job.parameters}
        if job.expires_in is not None:
            extras["expires_in"] = job.expires_in
        payload = encode_payload(job.inputs, extras)
        fingerprint, kept_as = "", keys.IDEMPOTENCY.of("")
        if idempotency_key is not None:
            fingerprint = _fingerprint(job.model, payload)
            kept_as = keys.IDEMPOTENCY.of(hashlib.sha256(idempotency_key.encode()).hexdigest())
        if job.traceparent is not None:  # each try of the same request may have another
            payload = encode_payload(job.inputs, extras | {"traceparent": job.traceparent})
        answer = await self._submits[job.model].accept(
            Submission(
                id=job_id,
                payload=payload,
                head_start=int(self.settings.head_start * 1000) * HEAD_STARTS[job.priority],
                latest_start=math.ceil((job.expires_in or 0) * 1000),
                fingerprint=fingerprint,
                idempotency_key=kept_as,
            )
        )
        failpoints.reach("after_submit")
        match answer:
            case [b"accepted", created, position]:
                if logs.debugging():
                    log.debug("job accepted", job=job_id, model=job.model, inputs=job.count)
                return views.accepted(job_id, job, created, position), False
            case [b"replayed", known]:
                return await self._accepted_before(known.decode()), True
            case [b"exists"]:  # ours: it was sent again because its answer was lost
                return await self.read(job_id), False
            case [b"mismatch"]:
                raise IdempotencyMismatch("this idempotency key was used before with a different request")
            case [b"full", reason, depth]:
                what = "jobs" if reason == b"jobs" else "bytes of unfinished jobs"
                raise QueueFull(
                    f"the queue of {job.model!r} holds its limit of {what}",
                    model=job.model,
                    reason=reason.decode(),
                    depth=depth,
                )
        raise AssertionError(f"submit answered {answer!r} for {job_id}")

    async def _accepted_before(self, job_id: str) -> Job:
        """As `read`, but one that is not there has been, whatever this machine's clock says of its age."""
        try:
            return await self.read(job_id)
        except JobNotFound as error:
            raise JobGone(str(error)) from None

    async def read(self, job_id: str, along: int = ALONG) -> Job:
        """The job as it is now. Raises JobNotFound, or JobGone when its lifetime is over.

        Results of more than `along` bytes are UNSET: `reading` reads those.
        """
        return await self.reading.job(job_id, along)

    async def cancel(self, job_id: str, along: int = ALONG) -> Job:
        """Cancels the job unless it is terminal; returns it as `read` does. Raises JobNotFound or JobGone."""
        queues = [key.of(model) for model in self.models for key in (keys.QUEUE, keys.DEADLINES, keys.BYTES)]
        answer = await self._run(
            self._cancel,
            [*job_keys(job_id), keys.ABORT.pattern, *queues],
            [job_id, self._ttl, keys.EVENTS, self._ended, along],
        )
        if not answer:
            raise self.reading.missing(job_id)
        if logs.debugging():
            log.debug("job cancelled, unless it had ended", job=job_id)
        record, *where = answer
        return views.terminal(record, results=not where)

    async def asked(self, job_id: str) -> views.Asked:
        """What the job was asked, for people to read; nothing once its lifetime is over."""
        return await self.reading.asked(job_id)

    async def recent(self, limit: int, after: str | None = None) -> tuple[list[Job], str | None]:
        """The newest jobs without their results, or those after the job `after`; and the next page's `after`.

        Raises InvalidRequest when `after` is not, or no longer, in the list.
        """
        return await self._listing.page(limit, after)

    async def depth(self, *only: str) -> dict[str, Depth]:
        """Each model's unfinished jobs, or those of some, and the age of the oldest that waits."""
        models = only or self.models
        counted = [key.of(model) for model in models for key in (keys.QUEUE, keys.BYTES)]
        try:
            counts = await self._run(self._depth, counted, [keys.JOB.of(""), late_ms(self.settings)])
        except QueueDamaged as error:  # the others' are known all the same
            if len(models) == 1:
                return {models[0]: Depth(0, 0, 0, 0, damage=str(error))}
            return {model: (await self.depth(model))[model] for model in models}
        return {model: Depth(*counts[6 * i : 6 * i + 6]) for i, model in enumerate(models)}

    async def sweep(self, model: str) -> tuple[int, int, int]:
        """Gives back run-out leases, expires the overdue, ends the aborted; returns how many of each.

        Workers and the API do it every SWEEP_EVERY seconds, so that deadlines hold with no worker alive.
        After a quiet of three of them, as when Redis stood still, leases get grace for live workers to renew.
        """
        given_back, expired, aborted = await self._run(
            self._sweep,
            [*self._queue_keys(model), keys.ABORT.pattern, keys.DOORBELL.of(model), keys.SWEPT.of(model)],
            [
                SWEEP_LIMIT,
                self._ttl,
                keys.EVENTS,
                *self._prefixes,
                self._ended,
                self._ended,
                int(3 * SWEEP_EVERY * 1000),
                int(self.settings.lease * 1000) // 2,
            ],
            many_jobs=True,
        )
        return given_back, expired, aborted

    # The worker's side

    async def claim(
        self, model: str, inputs: int, workers: int = 1, *, before: float | None = None, wait: float = 0.0
    ) -> tuple[list[Claimed], int]:
        """Leases the most urgent jobs, up to so many inputs; returns them, and how many jobs still wait.

        With several workers on the queue a claim takes its share, so that they finish a burst together. With
        `before` it takes only jobs that are more urgent: whose score is below that. With `wait` it first
        waits so many seconds at most until a submit rings: Redis makes the claim then without asking back.
        """
        token = secrets.token_hex(16)
        claim_keys = [*self._queue_keys(model), keys.RECENT.pattern, keys.ABORT.pattern]
        args = [
            inputs,
            self.settings.window_bytes,
            int(self.settings.lease * 1000),
            token,
            self.settings.recent_jobs,
            keys.EVENTS,
            self._ttl,
            self._ended,
            *self._prefixes,
            workers,
            "+inf" if before is None else int(before),
        ]
        claim = partial(doorbell.answer, self.redis, model, wait, self._claim) if wait else self._claim
        answer = await self._run(claim, claim_keys, args)
        failpoints.reach("after_claim")
        now, left, *rest = answer
        return claims(rest, token, now), left

    async def start(self, jobs: Iterable[Claimed]) -> None:
        """Charges an attempt to jobs whose first batch begins."""
        parts = [part for job in jobs for part in (job.id, job.token, job.attempts + 1)]
        await self._run(self._start, [], [keys.LEASE.of(""), keys.ATTEMPTS.of(""), *parts])

    async def renew(self, model: str, jobs: Iterable[Claimed]) -> tuple[set[str], set[str]]:
        """Extends the leases; returns the ids of those that are lost, and of jobs that ended elsewhere."""
        pairs = [part for job in jobs for part in (job.id, job.token)]
        lost, over = await self._run(
            self._renew,
            [keys.QUEUE.of(model)],
            [int(self.settings.lease * 1000), keys.LEASE.of(""), keys.RESULT.of(""), *pairs],
        )
        return {job_id.decode() for job_id in lost}, {job_id.decode() for job_id in over}

    async def finish(self, model: str, endings: Sequence[Ending]) -> set[str]:
        """Ends the jobs whose lease still holds, in one step; returns the ids of those that were refused."""
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
        """Gives back jobs without a result, each with its latest start in Unix ms, or 0 where it has none.

        A start is uncharged unless the job's worker could not end it in order.
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

    def _queue_keys(self, model: str) -> list[str]:
        return [key.of(model) for key in (keys.QUEUE, keys.DEADLINES, keys.BYTES)]


def _fingerprint(model: str, payload: bytes) -> str:
    """32 hex digits that tell whether two requests are the same."""
    return hashlib.sha256(model.encode() + b"\0" + payload).hexdigest()[:32]
