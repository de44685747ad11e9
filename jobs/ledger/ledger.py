"""Ledger: the client's operations: submit, read, cancel, list."""

import hashlib
import math
from collections.abc import Callable
from typing import Any

import structlog
from msgspec.structs import replace

from jobs import tasks
from jobs.errors import IdempotencyMismatch, JobNotFound, QueueFull, QueueUnavailable
from jobs.ledger import beside, limiting, ownership, views
from jobs.ledger.admission import Admission
from jobs.ledger.attachments import Attachments
from jobs.ledger.collecting import Collecting
from jobs.ledger.envelope import Envelope, with_endpoints
from jobs.ledger.following import Following
from jobs.ledger.ids import in_shard, new_id
from jobs.ledger.leasing import Lease, lease
from jobs.ledger.listing import ALL, Filter, Listing
from jobs.ledger.reading import INLINE_BYTES, SLICE, Outcomes, Reading
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.ledger.submitting import Submission, Submits, digest_of
from jobs.ledger.wire import encode_payload, packed
from jobs.owners import ANONYMOUS, Sender
from jobs.priorities import head_starts
from jobs.process import failpoints, logs
from jobs.schema import Job, NewJob
from jobs.store import durability
from jobs.store.lua import script

log = structlog.get_logger(__name__)

FULL = {b"jobs": "jobs", b"bytes": "bytes of unfinished jobs", b"inputs": "inputs of unfinished jobs"}
"""What a queue holds its limit of, by the script's answer."""


class Ledger:
    """The jobs of all models: clients submit, read and cancel them here.

    `sees` is the owner whose jobs the caller may see and end, or None for all (`ownership.py`).
    """

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self.models = shards.models
        self.settings = shards.settings
        self.reading = Reading(shards)
        self.attachments = Attachments(self.reading)
        self.following = Following(self.reading, shards)
        self.collecting = Collecting(self.reading, shards)
        self._listing = Listing(shards, self.reading)
        self._admission = Admission(shards)
        self._submits: dict[tuple[str, int], Submits] = {}

    async def new_id(self, sender: Sender = ANONYMOUS, idempotency_key: str | None = None) -> str:
        """Returns an id for a job, which decides on its shard. Raises QueueUnavailable."""
        if idempotency_key is not None:
            home = await self.shards.home_of_key(digest_of(idempotency_key, sender.owner), sender.owner)
        elif limiting.submits_limited(sender.limits):
            home = await self.shards.home_of(sender.owner)
        else:
            home = await self.shards.home()
        return new_id(home.number)

    async def at_home(self, job_id: str, sender: Sender) -> str:
        """Returns an id whose shard a client may have chosen, in the one that counts the sender's limits."""
        if not limiting.submits_limited(sender.limits):
            return job_id
        return in_shard(job_id, (await self.shards.home_of(sender.owner)).number)

    async def submit(
        self,
        job: NewJob,
        *,
        idempotency_key: str | None = None,
        job_id: str | None = None,
        watcher: str = "",
        standing: Callable[[list[limiting.Standing]], object] | None = None,
    ) -> tuple[Job, bool]:
        """Accepts a job, or finds the job that its owner submitted before with the same idempotency key.

        `job_id` is from `new_id` with the same sender and key. The API process `watcher` is told of the job's
        end. `standing` is called with what is left of the sender's limits, if it has any, for any answer.
        Returns the job and whether it is a replay. Raises QueueFull, LimitExceeded, JobTooLarge (for the
        sender's limits), IdempotencyMismatch (the key was used with another request), JobGone (the earlier
        job's lifetime is over) and QueueUnavailable.
        """
        sender = job.sender
        owner = sender.owner
        job_id = job_id or await self.new_id(sender, idempotency_key)
        shard = (await self.shards.of(job_id))[0]
        inputs, media = job.inputs, list[bytes]()
        if job.has_media:
            inputs, media = await beside.split(job.inputs)
        media_bytes = sum(map(len, media))
        request = Envelope(
            n=job.count,
            priority=job.priority,
            parameters=job.parameters,
            expires_in=job.expires_in,
            owner=owner,
            result_ttl=job.result_ttl,
            keep_inputs=job.keep_inputs,
            stream=job.stream,
            media=media_bytes,
            webhook=job.webhook,
            group=job.group,
        )
        fingerprint = digest = ""
        if idempotency_key is not None:
            given = request
            if job.given is not None:  # the model's defaults may have changed since the first try
                given = replace(request, parameters=job.given)
            fingerprint = _fingerprint(job.model, encode_payload(inputs, given))
            digest = digest_of(idempotency_key, owner)
        if job.traceparent is not None:  # differs between retries: not in the fingerprint
            request = replace(request, traceparent=job.traceparent)
        if job.has_endpoints:  # they may be created between two tries
            request = replace(request, webhook=with_endpoints(job.webhook))
        work, about = 0, b""
        if sender.owner:  # weight and work may differ between retries too
            inputs = packed(inputs)
            size = len(memoryview(inputs)) + media_bytes
            work = tasks.of_model(job.task).work(size, job.count, job.parameters)
            weight = sender.weight if sender.weight != 1 else None
            request = replace(request, weight=weight, work=work)
            about = limiting.sender(sender, job.count, work)
        upload = await beside.upload(shard, media) if media else None
        failpoints.reach("after_upload")
        answer = await self._submits_to(shard, job.model).accept(
            Submission(
                id=job_id,
                payload=encode_payload(inputs, request),
                head_start=int(self.settings.head_start * 1000) * head_starts(job.priority),
                latest_start=math.ceil((job.expires_in or 0) * 1000),
                fingerprint=fingerprint,
                idempotency_key=digest,
                watcher=watcher,
                inputs=job.count,
                sender=about,
            ),
            upload,
        )
        failpoints.reach("after_submit")
        if upload and answer[0] != b"accepted":
            await beside.discard(shard, upload)
        if about and limiting.submits_limited(sender.limits):
            *answer, left = answer
            if standing is not None:
                standing(limiting.standings(sender.limits, left))
        match answer:
            case [b"accepted", created, place]:
                if logs.debugging():
                    log.debug("job accepted", job=job_id, model=job.model, inputs=job.count)
                return views.accepted(job_id, job, created, self.shards.position(place)), False
            case [b"replayed", known]:
                return await self._accepted_before(known.decode(), owner), True
            case [b"exists"]:  # accepted before: the script was sent again because its answer was lost
                return await self.read(job_id, sees=owner), False
            case [b"mismatch"]:
                raise IdempotencyMismatch("this idempotency key was used before with a different request")
            case [b"limited", policy, wait]:
                raise limiting.exceeded(policy.decode(), wait, sender.limits)
            case [b"never", policy]:
                raise limiting.too_large(policy.decode(), job.count, work, sender.limits)
            case [b"damaged", key]:
                raise shard.integrity.damaged(key.decode(), "holds another program's data")
            case [b"lost"]:
                raise QueueUnavailable("the job's media are gone from Redis before it was accepted; retry")
            case [b"full", reason]:
                raise QueueFull(
                    f"the queue of {job.model!r} holds its limit of {FULL[reason]}",
                    model=job.model,
                    reason=reason.decode(),
                    depth=self._admission.depth(job.model),
                )
        raise AssertionError(f"submit answered {answer!r} for {job_id}")

    def _submits_to(self, shard: Shard, model: str) -> Submits:
        place = (model, shard.number)
        if (known := self._submits.get(place)) is None:
            send = durability.submit_script(shard.redis, self.settings.durable_submit)
            known = self._submits[place] = Submits(shard, send, model, self._admission)
        return known

    async def _accepted_before(self, job_id: str, owner: str) -> Job:
        """Like `read`, but a missing job raises JobGone, because the owner submitted it before."""
        try:
            return await self.read(job_id, sees=owner)
        except JobNotFound:
            raise self.reading.gone(job_id) from None

    async def read(
        self,
        job_id: str,
        inline: int = INLINE_BYTES,
        *,
        sees: str | None,
        watcher: str = "",
        endings_only: bool = False,
    ) -> Job:
        """Returns the job as it is now. Raises JobNotFound, or JobGone if its lifetime is over.

        The results are UNSET if the record has more than `inline` bytes: use `reading` for those. The API
        process `watcher` is told of the job's changes from now on, or only of its end.
        """
        return await self.reading.job(job_id, inline, watcher, sees=sees, endings_only=endings_only)

    async def outcomes(self, job_id: str, after: int, most: int = SLICE, *, sees: str | None) -> Outcomes:
        """Like `read`, with the known outcomes of its inputs except the first `after`: see Reading."""
        return await self.reading.outcomes(job_id, after, most, sees=sees)

    async def cancel(self, job_id: str, inline: int = INLINE_BYTES, *, sees: str | None) -> Job:
        """Cancels the job unless it is terminal; returns it like `read`. Raises JobNotFound or JobGone."""
        given: dict[str, Any] = {"id": job_id, "most_bytes": inline, "sees": ownership.argument(sees)}
        for shard in await self.shards.of(job_id):
            if answer := await shard.run(script("cancel"), "", self.models, **given):
                record, *where = answer
                job = ownership.shown(self.reading.ended(shard, job_id, record, results=not where), sees)
                if job is None:  # another owner's, which had ended
                    break
                if logs.debugging():
                    log.debug("job cancelled, unless it had ended", job=job_id)
                return job
        raise await self.reading.missing(job_id, sees=sees)

    async def inputs(self, job: Job) -> views.JobInputs:
        """Returns what a page shows of the inputs and parameters of a job that was read: see Reading."""
        return await self.reading.inputs(job)

    async def lease(self, job: Job) -> Lease | None:
        """Returns the lease of a job that was read; None if it is not running. Raises QueueUnavailable."""
        for shard in await self.shards.of(job.id):
            if (found := await lease(shard, job.model, job.id)) is not None:
                return found
        return None

    async def recent(
        self, limit: int, after: str | None = None, wanted: Filter = ALL, *, sees: str | None
    ) -> tuple[list[Job], str | None]:
        """Returns the newest jobs, or those after `after`, without results; and the next page's `after`.

        A filtered page may be short or empty although there is a next one (`Listing.page`).
        Raises InvalidRequest if `after` is not in the list, or no longer.
        """
        return await self._listing.page(limit, after, wanted, sees=sees)

    async def find(self, end: str, limit: int, *, sees: str | None) -> dict[str, Job | None]:
        """Returns the newest listed ids that end in `end`, each with its job: see `Listing.find`."""
        return await self._listing.find(end, limit, sees=sees)


def _fingerprint(model: str, payload: bytes) -> str:
    """Returns 32 hex digits that are equal for equal requests."""
    return hashlib.sha256(model.encode() + b"\0" + payload).hexdigest()[:32]
