"""Parsing: turns a claim into a LeasedJob, checked against its model, or says why it cannot be run."""

from typing import Any

import msgspec
from msgspec import UNSET

from jobs import priorities
from jobs.errors import InvalidRequest
from jobs.ledger.envelope import KNOWN, envelope
from jobs.ledger.leasing import Claimed
from jobs.ledger.views import UNREADABLE, input_count
from jobs.ledger.wire import FUNCTION, Payload, decode_payload
from jobs.media import values
from jobs.models import ModelSpec
from jobs.owners import Sender
from jobs.schema import JobRequest, NewJob, validate_request
from worker.leases.held import Unreadable
from worker.leases.leased_job import NO_KEYWORDS, LeasedJob


def parse(claimed: Claimed, spec: ModelSpec, max_bytes: int) -> LeasedJob | Unreadable:
    """Returns the claimed job, checked against its model, or why it cannot be run. Never raises.

    `max_bytes` limits the size of its results.
    """
    try:
        payload = decode_payload(claimed.payload, packed=spec.definition.input.is_packed)
    except UNREADABLE as error:
        reason = f"the payload cannot be read: {error}"
        return Unreadable(claimed, spec.name, claimed.claimed_ms, 1, NO_KEYWORDS, reason)
    created = payload.et
    try:
        job = LeasedJob(claimed, _runnable(payload, spec), created, max_bytes, payload.k)
    except (InvalidRequest, msgspec.ValidationError) as error:
        reason = str(error)
    except Exception as error:  # anything a stock client enqueues must affect only this job
        reason = f"{type(error).__name__}: {error}"
    else:
        if not KNOWN.issuperset(payload.k):
            job.unknown = payload.k.keys() - KNOWN
        return job
    return Unreadable(claimed, spec.name, created, input_count(payload.a), payload.k, reason)


def _no_link(medium: values.Medium) -> None:
    """Raises InvalidRequest for a link, which only a stock client can have put into the queue."""
    if isinstance(medium, values.Link):
        raise InvalidRequest("inputs: media in the queue are bytes; links are only fetched by POST /v1/jobs")


def _runnable(payload: Payload[dict[str, Any]], spec: ModelSpec) -> NewJob:
    """Raises InvalidRequest or msgspec.ValidationError."""
    if payload.f != FUNCTION:
        raise InvalidRequest(f"unknown function {payload.f!r}; this queue runs {FUNCTION!r}")
    if len(payload.a) != 1:
        raise InvalidRequest(f"{FUNCTION} takes one argument, the inputs, not {len(payload.a)}")
    fields = envelope(payload.k)
    request = JobRequest(
        inputs=payload.a[0],
        parameters=fields.parameters or {},
        priority=priorities.named(fields.priority),
        expires_in=UNSET if fields.expires_in is None else fields.expires_in,
    )
    job = validate_request(request, spec)
    if job.has_media:
        values.changed(job.inputs, _no_link)
    if not fields.owner:
        return job
    return msgspec.structs.replace(job, sender=Sender(fields.owner, weight=fields.weight or 1.0))
