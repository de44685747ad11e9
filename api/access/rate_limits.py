"""The RateLimit header fields of an answer to a submit: the sender's limits, and what is left of them.

draft-ietf-httpapi-ratelimit-headers, revision 11: the structured fields `RateLimit-Policy` (quota `q`, window
in seconds `w`) and `RateLimit` (remaining `r`, seconds until there is more `t`).
"""

import math
from collections.abc import Sequence

from starlette.types import Scope

from jobs.ledger.limiting import Standing

_FIELDS = "batchline.rate_limits"
"""The key of the fields in a request's scope."""

CONTENT_BYTES = ';qu="content-bytes"'
"""The draft's quota unit. It has none for inputs and tokens; there the policy's name says what is counted."""

Fields = list[tuple[bytes, bytes]]


def note(scope: Scope, standings: Sequence[Standing]) -> None:
    """Keeps the fields for the request's answer, whatever it is."""
    policies = ", ".join(map(_policy, standings)).encode()
    left = ", ".join(map(_left, standings)).encode()
    scope[_FIELDS] = [(b"ratelimit-policy", policies), (b"ratelimit", left)]


def noted(scope: Scope) -> Fields:
    """The fields of the request's answer; empty if its sender has no limits."""
    fields: Fields = scope.get(_FIELDS, [])
    return fields


def _policy(standing: Standing) -> str:
    """One quota policy item. Both numbers are integers, so a rate below 1 is one in a longer window."""
    policy, limit = standing.policy, standing.limit
    unit = CONTENT_BYTES if policy.name == "queued-bytes" else ""
    if not policy.window:
        return f'"{policy.name}";q={limit:.0f}{unit}'
    if 0 < limit < 1:
        return f'"{policy.name}";q=1;w={math.ceil(policy.window / limit)}'
    return f'"{policy.name}";q={math.floor(limit)};w={policy.window:.0f}'


def _left(standing: Standing) -> str:
    """One service limit item. What ends unfinished jobs is no window, so there is no time."""
    seconds = f";t={math.ceil(standing.more_in / 1000)}" if standing.policy.window else ""
    return f'"{standing.policy.name}";r={standing.left}{seconds}'
