"""Ledger: the client's operations: submit, read, cancel, list. Count and sweep are inherited from Queues."""

import hashlib
import math
from collections.abc import Iterable
from functools import partial

import structlog
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import IdempotencyMismatch, JobGone, JobNotFound, QueueFull
from jobs.ledger import keys, views
from jobs.ledger.envelope import Envelope
from jobs.ledger.ids import new_id
from jobs.ledger.listing import ALL, Filter, Listing
from jobs.ledger.queues import Queues
from jobs.ledger.reading import INLINE_BYTES, SLICE, Outcomes, Reading
from jobs.ledger.submitting import Submission, Submits
from jobs.ledger.wire import encode_payload
from jobs.priorities import head_starts
from jobs.process import failpoints, logs
from jobs.schema import Job, NewJob
from jobs.settings import Settings
from jobs.store import durability, lua

log = structlog.get_logger(__name__)


class Ledger(Queues):
    """The jobs of all models: clients submit, read and cancel them here."""

    def __init__(self, redis: ArqRedis, settings: Settings, models: Iterable[str]) -> None:
        super().__init__(redis, settings, models)
        send = partial(self._run, durability.submit_script(redis, settings.durable_submit))
        self._submits = {model: Submits(send, settings, model) for model in self.models}
        self._cancel = lua.Script(redis, "cancel")
        self.reading = Reading(redis, self.integrity, self.models, self._ttl)
        self._listing = Listing(redis, self.integrity, self.reading)

    async def submit(
        self, job: NewJob, *, idempotency_key: str | None = None, job_id: str | None = None
    ) -> tuple[Job, bool]:
        """Accepts a job, or finds the job that was accepted before with the same idempotency key.

        Returns the job and whether it is a replay. Raises QueueFull, IdempotencyMismatch (the key was used
        with another request), JobGone (the earlier job's lifetime is over) and QueueUnavailable.
        """
        job_id = job_id or new_id()
        envelope = Envelope(
            n=job.count,
            priority=job.priority,
            parameters=job.parameters,
            expires_in=job.expires_in,
            owner=job.owner,
        )
        payload = encode_payload(job.inputs, envelope)
        fingerprint, kept_as = "", keys.IDEMPOTENCY.of("")
        if idempotency_key is not None:
            request = payload
            if job.given is not None:  # the model's defaults may have changed since the first try
                request = encode_payload(job.inputs, replace(envelope, parameters=job.given))
            fingerprint = _fingerprint(job.model, request)
            kept_as = keys.IDEMPOTENCY.of(hashlib.sha256(idempotency_key.encode()).hexdigest())
        if job.traceparent is not None:  # differs between retries: not in the fingerprint
            payload = encode_payload(job.inputs, replace(envelope, traceparent=job.traceparent))
        answer = await self._submits[job.model].accept(
            Submission(
                id=job_id,
                payload=payload,
                head_start=int(self.settings.head_start * 1000) * head_starts(job.priority),
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
            case [b"exists"]:  # accepted before: the script was sent again because its answer was lost
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
        """Like `read`, but a missing job raises JobGone, because it was accepted before."""
        try:
            return await self.read(job_id)
        except JobNotFound as error:
            raise JobGone(str(error)) from None

    async def read(self, job_id: str, inline: int = INLINE_BYTES) -> Job:
        """Returns the job as it is now. Raises JobNotFound, or JobGone if its lifetime is over.

        The results are UNSET if the record has more than `inline` bytes: use `reading` for those.
        """
        return await self.reading.job(job_id, inline)

    async def outcomes(self, job_id: str, after: int, most: int = SLICE) -> Outcomes:
        """Like `read`, with the known outcomes of its inputs except the first `after`: see Reading."""
        return await self.reading.outcomes(job_id, after, most)

    async def cancel(self, job_id: str, inline: int = INLINE_BYTES) -> Job:
        """Cancels the job unless it is terminal; returns it like `read`. Raises JobNotFound or JobGone."""
        queues = [key for model in self.models for key in keys.of_queue(model)]
        answer = await self._run(
            self._cancel,
            [*keys.of_job(job_id), keys.ABORT.pattern, *queues],
            [job_id, self._ttl, keys.EVENTS, self._ended, inline],
        )
        if not answer:
            raise self.reading.missing(job_id)
        if logs.debugging():
            log.debug("job cancelled, unless it had ended", job=job_id)
        record, *where = answer
        return self.reading.ended(job_id, record, results=not where)

    async def inputs(self, job_id: str) -> views.JobInputs:
        """Returns the inputs and parameters that a page shows of the job: see `Reading.inputs`."""
        return await self.reading.inputs(job_id)

    async def recent(
        self, limit: int, after: str | None = None, wanted: Filter = ALL
    ) -> tuple[list[Job], str | None]:
        """Returns the newest jobs, or those after `after`, without results; and the next page's `after`.

        A filtered page may be short or empty although there is a next one (`Listing.page`).
        Raises InvalidRequest if `after` is not in the list, or no longer.
        """
        return await self._listing.page(limit, after, wanted)

    async def find(self, end: str, limit: int) -> dict[str, Job | None]:
        """Returns the newest listed ids that end in `end`, each with its job: see `Listing.find`."""
        return await self._listing.find(end, limit)


def _fingerprint(model: str, payload: bytes) -> str:
    """Returns 32 hex digits that are equal for equal requests."""
    return hashlib.sha256(model.encode() + b"\0" + payload).hexdigest()[:32]
