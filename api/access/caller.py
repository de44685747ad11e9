"""Caller: who sends a request. Resolved once, in front of every route, and read with `caller_of`.

What a caller may do is not decided here.
"""

from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope

OPEN = frozenset({"/health/live"})
"""Paths that answer without a caller: a liveness probe must not depend on keys."""

_CALLER = "batchline.caller"
"""Where a request's scope has its caller."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request."""

    owner: str = ""
    """Whose jobs it submits and sees; "" is the anonymous owner."""


ANONYMOUS = Caller()


class Resolver(Protocol):
    """Finds out who sends a request, from its headers."""

    async def resolve(self, scope: Scope) -> Caller:
        """The caller. Raises Refusal for a request that must not be answered.

        Called for each request on the event loop: a lookup must be in memory, or be awaited.
        """


class Anonymous:
    """The resolver of a server without keys: everybody is the anonymous caller."""

    async def resolve(self, scope: Scope) -> Caller:
        return ANONYMOUS


async def admit(scope: Scope, resolver: Resolver) -> None:
    """Resolves the request's caller and notes it in the scope. Raises what the resolver raises."""
    scope[_CALLER] = ANONYMOUS if scope["path"] in OPEN else await resolver.resolve(scope)


def caller_of(scope: Scope) -> Caller:
    """The request's caller; a KeyError means that a route was reached past `admit`, which is a bug."""
    caller: Caller = scope[_CALLER]
    return caller
