"""Caller: the sender of a request. It is resolved once, before every route, and read with `caller_of`.

This file does not decide what a caller may do.
"""

from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope

from jobs import owners
from jobs.access.api_key import SCOPES, KeyScope
from jobs.owners import Sender

PUBLIC_PATHS = frozenset({"/health/live"})
"""Paths that are answered without resolving a caller: a liveness probe must not depend on keys."""

_CALLER = "batchline.caller"
_RESOLVER = "batchline.resolver"
"""The keys of the caller in a request's scope, and of what resolved it."""


EVERYTHING: frozenset[KeyScope] = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request."""

    sender: Sender = owners.ANONYMOUS
    """The owner of the jobs that the caller submits, with the limits and share of its key."""
    scopes: frozenset[KeyScope] = EVERYTHING
    models: frozenset[str] = frozenset()
    """Names of the models that the caller may use; empty for all."""

    @property
    def owner(self) -> str:
        return self.sender.owner

    @property
    def sees(self) -> str | None:
        """The owner whose jobs the caller may read and end; None for all owners."""
        return None if "admin" in self.scopes else self.owner


ANONYMOUS = Caller()


class Resolver(Protocol):
    """Determines the caller of a request from its headers."""

    async def resolve(self, scope: Scope) -> Caller:
        """The caller. Raises Refusal if the request must not be answered.

        Called for each request on the event loop, so a lookup must be in memory or be awaited.
        """


class Anonymous:
    """The resolver of a server without keys: every caller is anonymous."""

    async def resolve(self, scope: Scope) -> Caller:
        return ANONYMOUS


async def admit(scope: Scope, resolver: Resolver) -> None:
    """Resolves the request's caller and stores it in the scope. Raises what the resolver raises."""
    scope[_CALLER] = ANONYMOUS if scope["path"] in PUBLIC_PATHS else await resolver.resolve(scope)
    scope[_RESOLVER] = resolver


async def readmit(scope: Scope) -> None:
    """Resolves the caller of a request that was admitted again, because it takes long (`api/waiting/`).

    Raises what the resolver raises, so what is shown next depends on the key as it is now. A resolver that
    counts refused attempts must not count this: the scope has the request's caller already.
    """
    scope[_CALLER] = await scope[_RESOLVER].resolve(scope)


def admitted(scope: Scope) -> bool:
    """Whether a caller of the request was resolved before."""
    return _CALLER in scope


def known_caller(scope: Scope) -> Caller | None:
    """The request's caller, or None if the request was refused before it was known."""
    caller: Caller | None = scope.get(_CALLER)
    return caller


def models_of(scope: Scope) -> frozenset[str] | None:
    """Names of the models that the request's caller may use; None for all, and for a refused request."""
    caller = known_caller(scope)
    return caller.models or None if caller is not None else None


def caller_of(scope: Scope) -> Caller:
    """The request's caller. A KeyError is a bug: a route was called without `admit`."""
    caller: Caller = scope[_CALLER]
    return caller
