"""Webhook: where a client wants to be told of the end of a job or batch. `hooks/` sends the events."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

JobEvent = Literal["job.succeeded", "job.failed", "job.cancelled", "job.expired"]
"""How a job may end."""
BatchEvent = Literal["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]
"""How a batch may end."""
Event = Literal[
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "job.expired",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
]

EVENTS: tuple[Event, ...] = get_args(Event)

MAX_URL = 2_000
"""Most characters of an address."""

Url = Annotated[str, Meta(min_length=1, max_length=MAX_URL)]


class Webhook(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The webhook of one job."""

    url: Url
    events: Annotated[list[JobEvent], Meta(min_length=1, max_length=4)] | UnsetType = UNSET
    """The endings that are sent; all by default."""


class BatchWebhook(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The webhook of one batch."""

    url: Url
    events: Annotated[list[BatchEvent], Meta(min_length=1, max_length=4)] | UnsetType = UNSET
    """The endings that are sent; all by default."""
