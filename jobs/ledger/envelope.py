"""Envelope: everything about a job except its inputs; stored in the payload's `k` (arq's keywords).

An absent field has its default, so a stock arq client sends only what it needs and small jobs stay small.
Readers ignore unknown fields, and payloads are never rewritten, so a newer release's field is kept when an
older worker returns the job (docs/decisions/027).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from jobs.owners import NAME
from jobs.schema import WEEK
from jobs.webhook import Webhook

VERSION = 1
"""Version of the envelopes that this release writes. Greater versions are read too: a job that an older
worker must not run has another function name (`wire.FUNCTION`), which that worker refuses."""


class Envelope(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A job without its inputs.

    Do not change the order of the first five fields: scripts expect `n` and then `owner` at the start
    (`outline.lua`), and fingerprints of idempotency keys are computed from their bytes. Nor add a 16th field:
    msgspec writes the map of a larger class with a longer header, however few fields are set.
    """

    n: int = 0
    """Number of inputs; 0 if a stock client did not count them."""
    owner: str = ""
    """The owner of the job (`jobs/owners.py`); empty for the anonymous one."""
    priority: str = ""
    """A name of `jobs/priorities.py`; a stock client sends none."""
    parameters: dict[str, Any] | None = None
    expires_in: Annotated[float, Meta(gt=0, le=WEEK)] | None = None
    """Seconds from the job's creation within which it must start."""
    traceparent: Any = None
    """W3C trace context of the parent of the job's spans."""
    version: int = VERSION
    weight: Annotated[float, Meta(gt=0)] | None = None
    """The owner's share of the workers, relative to other owners with waiting jobs; 1 by default."""
    work: int = 0
    """Estimated tokens that the model computes for the job; not stored for the anonymous owner."""
    webhook: Any = None
    """Whom to tell of the job's end, which `conclude.lua` writes to the outbox: `url` and `events` of the
    request (`jobs/webhook.py`), and `endpoints` if the owner has some."""
    group: Any = None
    """The group for which `conclude.lua` counts the job's end."""
    result_ttl: Annotated[float, Meta(gt=0)] | None = None
    """Seconds for which the ended job can be read; by default BATCHLINE_RESULT_TTL."""
    keep_inputs: bool = False
    """Whether the inputs are kept as long as the results."""
    media: int = 0
    """Bytes of the media beside the payload (`beside.py`)."""
    stream: bool = False
    """Whether partial answers are wanted (`partials.py`)."""


KNOWN = frozenset(Envelope.__struct_fields__)

TERMS = ("webhook", "group", "result_ttl", "keep_inputs", "media", "stream")
"""The fields that say what happens when the job ends."""


def envelope(keywords: dict[str, Any]) -> Envelope:
    """Converts keywords. Raises msgspec.ValidationError if a known field has a wrong type or value."""
    return msgspec.convert(keywords, Envelope)


def with_endpoints(webhook: Webhook | None) -> dict[str, Any]:
    """Returns the `webhook` of a job whose owner has endpoints."""
    asked: dict[str, Any] = {} if webhook is None else msgspec.to_builtins(webhook)
    return {**asked, "endpoints": True}


def owner(keywords: Mapping[str, Any]) -> str:
    """Returns the owner in the keywords of one of our payloads, as `outline.lua`: "" unless it is a name."""
    name = keywords.get("owner")
    if name is None:
        return ""
    return name if isinstance(name, str) and NAME.fullmatch(name) else ""


def terms(keywords: Mapping[str, Any], usage: Sequence[int] = (), files: bool | None = None) -> bytes:
    """Returns a job's TERMS in the form that `finish.lua` expects; of a named owner also what it used.

    `usage`: inputs, failed inputs, tokens, and microseconds of the engine (`usage.lua`). `files`: whether the
    files of its outputs are kept with its record, or deleted; None if it cannot have any.
    """
    asked = {name: keywords[name] for name in TERMS if name in keywords}
    if files is not None:
        asked["files"] = files
    if name := owner(keywords):
        asked |= {"owner": name, "usage": usage}
    return msgspec.msgpack.encode(asked) if asked else b""
