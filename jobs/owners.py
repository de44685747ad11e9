"""Owners: who sends jobs, with which limits and which share of the workers.

A job belongs to its owner. Several keys may act for one owner. Without keys there is one anonymous owner, "".
"""

import re

import msgspec

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""Names of owners. They are part of Redis keys and metric labels: no braces, colons or spaces."""

RULE = "1 to 64 letters, digits, dots, dashes, underscores and @, beginning with a letter or digit"
"""NAME in words."""


LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
"""Shares beyond these count as these: the sums of virtual times must stay finite (as in `turns.lua`)."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the senders of one key may use; None for no limit."""

    requests_per_second: float | None = None
    """Submits; up to one second's worth may come at once."""
    inputs_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Estimated tokens (`Envelope.work`)."""
    queued_jobs: int | None = None
    queued_inputs: int | None = None
    queued_bytes: int | None = None
    """Of the owner's unfinished jobs, over all models."""
    waits: int | None = None
    """Requests of the owner that wait for jobs or follow events at a time."""


UNLIMITED = Limits()


class Sender(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sender of a job."""

    owner: str = ""
    key: str = ""
    """Id of the key that was used; "" without keys."""
    weight: float = 1.0
    """The owner's share of the workers, relative to other owners with waiting jobs."""
    limits: Limits = UNLIMITED


ANONYMOUS = Sender()
