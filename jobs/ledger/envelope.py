"""Envelope: everything about a job besides its inputs, as it travels in the payload's `k` (arq's keywords).

An absent field has its default, so a stock arq client sends only what it needs and small jobs stay small.
Readers ignore fields that they do not know, and nobody rewrites a payload, so a field of a newer release is
kept when an older worker gives the job back (docs/decisions/027).
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from jobs.schema import WEEK

VERSION = 1
"""Of the envelopes that this release writes. A greater one is read all the same: what an older worker must
not run has another function name (`wire.FUNCTION`), which it refuses."""


class Envelope(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A job without its inputs.

    The order of the first four must not change: scripts find `n` at the start (`payload.lua`), and
    fingerprints of idempotency keys are made of their bytes.
    """

    n: int = 0
    """Inputs in all; 0 where a stock client did not count them."""
    priority: str = ""
    """A name of `jobs/priorities.py`; a stock client sends none."""
    parameters: dict[str, Any] | None = None
    expires_in: Annotated[float, Meta(gt=0, le=WEEK)] | None = None
    """Seconds from its creation within which it must start."""
    traceparent: Any = None
    """W3C trace context of the span that is the parent of what becomes of the job."""
    version: int = VERSION
    owner: str = ""
    """Whose job it is; empty where callers have no names."""
    webhook: Any = None
    group: Any = None
    metadata: Any = None
    """Reserved: what to call when it ends, the batch that it belongs to, what its sender notes on it."""


KNOWN = frozenset(Envelope.__struct_fields__)


def envelope(keywords: dict[str, Any]) -> Envelope:
    """Raises msgspec.ValidationError where a known field has a wrong type or value."""
    return msgspec.convert(keywords, Envelope)
