"""Intake: submits the jobs of all dialects' requests.

1. The dialect parses the request to a job.
2. Its links are fetched. It is submitted with its caller, a trace and its idempotency key, and counted in the
   metrics.
3. The memory of the request's body is released.
4. The request waits for the job's end, for as long as its client asks.
5. The dialect presents the job.
"""

from functools import partial
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.access import rate_limits
from api.access.caller import caller_of
from api.dialect import Accepted, Call
from api.edge import bodies
from api.links import Links
from api.waiting.waiting import Waiting
from hooks.service import Hooks
from jobs.errors import InvalidRequest, JobTooLarge, LimitExceeded, QueueFull, UnknownModel
from jobs.ledger import limiting
from jobs.ledger.ledger import Ledger
from jobs.monitoring import traces
from jobs.monitoring.metrics import ApiMetrics
from jobs.schema import Job, NewJob

C = TypeVar("C")


class Intake:
    """Submits jobs for all dialects."""

    def __init__(
        self,
        ledger: Ledger,
        waiting: Waiting,
        links: Links,
        process: str,
        metrics: ApiMetrics,
        hooks: Hooks,
    ) -> None:
        """`process` is told when a job ends for which a request waits (`Subscriber.process`)."""
        self._ledger = ledger
        self._links = links
        self._process = process
        self._waiting = waiting
        self._metrics = metrics
        self._hooks = hooks
        for policy in limiting.NAMES:  # from 0: Prometheus computes no rate for a series that begins later
            metrics.limited.labels(policy)

    async def run(self, request: Request, call: Call[C]) -> Response:
        """Executes a call and returns its response. Raises what the call raises, and as `submit`."""
        job, context, wait, key = await call.parse(request)
        unsubmitted = [job]
        del job  # its inputs must not stay in memory during the wait
        job_id = await self._ledger.new_id(caller_of(request.scope).sender, key)
        replayed = False
        watcher = self._process if wait > 0 else ""

        async def submit() -> Job:
            nonlocal replayed
            try:
                accepted, replayed = await self.submit(request, unsubmitted.pop(), job_id, key, watcher)
                return accepted
            finally:
                bodies.release(request.scope)

        found = await self._waiting.follow(job_id, submit, wait, request)
        return await call.present(request, Accepted(found, replayed), context)

    async def submit(
        self, request: Request, job: NewJob, job_id: str, key: str | None = None, watcher: str = ""
    ) -> tuple[Job, bool]:
        """Submits a job for the request's caller.

        Returns the job and whether an earlier request with the same key submitted it.
        `key` may equal `job_id`, if the id is the same each time the request is sent.

        What is left of the caller's limits is noted for the answer. Raises UnknownModel, and as
        `Links.fetched` and `Ledger.submit`.
        """
        caller = caller_of(request.scope)
        if caller.models and job.model not in caller.models:  # whatever its dialect has checked
            raise UnknownModel(f"no model named {job.model!r} is served", pointer="/model")
        sender = caller.sender
        if job.webhook is not None:
            self._hooks.check(job.webhook)
        if sender.owner in self._hooks.listeners:
            job = msgspec.structs.replace(job, has_endpoints=True)
        job = await self._links.fetched(job, request)
        try:
            with traces.submitting(job.model, job_id, request.headers) as trace:
                if sender.owner or trace:
                    job = msgspec.structs.replace(job, sender=sender, traceparent=trace)
                found, known = await self._ledger.submit(
                    job,
                    idempotency_key=key,
                    job_id=job_id,
                    watcher=watcher,
                    standing=partial(rate_limits.note, request.scope),
                )
        except QueueFull as error:
            self._metrics.admissions_refused.labels(error.model, error.reason).inc()
            raise
        except (LimitExceeded, JobTooLarge) as error:
            self._metrics.limited.labels(error.policy).inc()
            raise
        if sender.owner and caller.sees is None:
            found = msgspec.structs.replace(found, owner=sender.owner)
        # if a new id is known, redis-py sent the script twice because the first answer was lost
        replayed = known and (found.id != job_id or key == job_id)
        if replayed:
            self._metrics.replayed.inc()
        else:
            self._metrics.submitted.labels(job.model).inc()
        return found, replayed


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` header: 1 to 255 printable characters. Raises InvalidRequest."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        raise InvalidRequest("Idempotency-Key: give 1 to 255 printable characters")
    return key
