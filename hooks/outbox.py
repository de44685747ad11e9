"""Entries of the outbox: the ends of jobs and batches that somebody wants to be told of.

The script that ends a job or batch appends the entry, so that there is none without its end, and no end
without its entry. `conclude.lua` writes those of jobs:

id       of the job
state    how it ended
webhook  msgpack or JSON: `url` and `events` of its request, and `endpoints` if its owner may have some
record   the start of its record, without results (`jobs/ledger/records.py`)

The script that ends a batch writes:

id       of the batch
webhook  as above
event    its name, such as `batch.completed`
owner
data     JSON: the `data` of the event
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from jobs.ledger import views
from jobs.owners import NAME
from jobs.webhook import EVENTS


class Wanted(msgspec.Struct, frozen=True):
    """Who wants to be told: an address, for some events, and the endpoints of the owner."""

    url: str | None = None
    events: list[str] | None = None
    endpoints: bool = False


class Ended(NamedTuple):
    """One end."""

    subject: str
    """The id of the job or batch."""
    event: str
    """Its name, such as `job.succeeded`."""
    owner: str
    at: int
    """Unix ms."""
    wanted: Wanted
    data: dict[str, Any]
    """The `data` of the event."""

    @property
    def url(self) -> str | None:
        """The address of the job's or batch's own webhook, if it wants this event."""
        wanted = self.wanted
        return wanted.url if wanted.events is None or self.event in wanted.events else None


def read(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Ended:
    """Returns the end of an entry. Raises ValueError if another program wrote it."""
    try:
        subject = fields[b"id"].decode()
        wanted = _wanted(fields[b"webhook"])
        if b"event" not in fields:
            ended = _job(subject, wanted, fields)
        else:
            at = int(entry_id.partition(b"-")[0])
            event, owner = fields[b"event"].decode(), fields[b"owner"].decode()
            data = msgspec.json.decode(fields[b"data"], type=dict[str, Any])
            ended = Ended(subject, event, owner, at, wanted, data)
    except (KeyError, UnicodeDecodeError, RecursionError, msgspec.MsgspecError, OverflowError) as error:
        raise ValueError(f"it has no valid fields: {error}") from None
    if ended.event not in EVENTS or (ended.owner and not NAME.fullmatch(ended.owner)) or len(subject) > 500:
        raise ValueError("its event or its owner is unknown")
    return ended


def _wanted(data: bytes) -> Wanted:
    if data.startswith(b"{"):  # no map begins with it in msgpack
        return msgspec.json.decode(data, type=Wanted)
    return msgspec.msgpack.decode(data, type=Wanted)


def _job(job_id: str, wanted: Wanted, fields: Mapping[bytes, bytes]) -> Ended:
    job = views.terminal(job_id, fields[b"record"], results=False)
    data = {
        "id": job_id,
        "object": "job",
        "model": job.model,
        "status": job.status,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "counts": job.counts,
        "first_error": job.first_error,
    }
    assert job.finished_at is not None
    at = int(job.finished_at.timestamp() * 1000)
    return Ended(job_id, f"job.{job.status}", job.owner or "", at, wanted, data)
