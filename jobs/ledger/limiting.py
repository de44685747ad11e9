"""Limiting: the limits of a sender, as `submit.lua` checks them, and its answers about them.

Which limits exist is in `jobs/owners.py`; `scripts/limits.lua` enforces them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from jobs.errors import JobTooLarge, LimitExceeded
from jobs.owners import UNLIMITED, Limits, Sender

RETRY_HELD = 5
"""Seconds after which to retry when the owner's unfinished work is at its limit: it is not known when that
ends."""


class Policy(NamedTuple):
    """One limit, in the order in which the script answers."""

    name: str
    """In answers and metrics."""
    limit: str
    """Field of Limits."""
    window: float = 0
    """Seconds for which the limit holds; 0 for a limit of what is held at a time."""
    unit: str = ""
    """What is limited, in words."""


POLICIES = (
    Policy("requests", "requests_per_second", 1, "requests a second"),
    Policy("inputs", "inputs_per_minute", 60, "inputs a minute"),
    Policy("tokens", "tokens_per_minute", 60, "tokens a minute"),
    Policy("queued-jobs", "queued_jobs", unit="unfinished jobs"),
    Policy("queued-inputs", "queued_inputs", unit="inputs in unfinished jobs"),
    Policy("queued-bytes", "queued_bytes", unit="bytes of unfinished jobs"),
)
"""The limits that a submit checks."""

WAITS = Policy("waits", "waits", unit="requests that wait at a time")
"""Checked by the API before a request waits (`api/waiting/wait_limit.py`)."""

NAMES = tuple(policy.name for policy in (*POLICIES, WAITS))

_POLICY = {policy.name: policy for policy in POLICIES}


class Standing(NamedTuple):
    """What is left of one limit after a submit."""

    policy: Policy
    limit: float
    left: int
    more_in: int
    """Milliseconds until one more unit is available; 0 if all are, or if that is not known."""


def submits_limited(limits: Limits) -> bool:
    """Whether a submit checks any of the limits."""
    return limits is not UNLIMITED and any(getattr(limits, each.limit) is not None for each in POLICIES)


def sender(given: Sender, inputs: int, work: int) -> bytes:
    """Returns what the script needs to know of a named owner's job; `work` as in Envelope."""
    limits = {policy.limit: getattr(given.limits, policy.limit) for policy in POLICIES}
    known = {name: limit for name, limit in limits.items() if limit is not None}
    about = {"owner": given.owner, "key": given.key, "inputs": inputs, "work": work}
    return msgspec.msgpack.encode(about | known | ({"limited": True} if known else {}))


def standings(limits: Limits, answer: Sequence[int]) -> list[Standing]:
    """Converts the script's answer about each limit that is set."""
    parts = iter(answer)
    return [
        Standing(policy, limit, left=next(parts), more_in=next(parts))
        for policy in POLICIES
        if (limit := getattr(limits, policy.limit)) is not None
    ]


def exceeded(name: str, wait: int, limits: Limits) -> LimitExceeded:
    """Returns the error for a limit that is used up; `wait` in milliseconds, 0 if unknown."""
    policy = _POLICY[name]
    seconds = max(1, math.ceil(wait / 1000)) if wait else RETRY_HELD
    return LimitExceeded(
        f"the limit of {getattr(limits, policy.limit):,.15g} {policy.unit} is reached; retry in {seconds} s",
        policy=name,
        retry_after=seconds,
    )


def too_large(name: str, inputs: int, work: int, limits: Limits) -> JobTooLarge:
    """Returns the error for a job that can never be accepted."""
    policy = _POLICY[name]
    size = {
        "inputs": f"{inputs:,} inputs",
        "queued-inputs": f"{inputs:,} inputs",
        "tokens": f"about {work:,} tokens",
    }.get(name, "this size")
    return JobTooLarge(
        f"a job of {size} can never be accepted: the limit is {getattr(limits, policy.limit):,.15g}"
        f" {policy.unit}; send smaller jobs",
        policy=name,
    )
