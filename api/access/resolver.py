"""The resolvers of callers: by API keys, or by the owner that a trusted proxy names.

A request is resolved before its route is known to exist, so that without a key nobody learns which paths do.
Nothing here waits: keys are looked up in memory.
"""

from collections.abc import Callable

from starlette.types import Scope

from api.access.audit import Audit
from api.access.caller import Caller, admitted
from api.access.failed_attempts import FailedAttempts
from api.access.forwarding import client_address, from_trusted_proxy
from api.access.key_ring import KeyRing
from api.access.permissions import Need, Permissions, allows
from api.problems.problem import Refusal
from jobs import owners
from jobs.access.api_key import DEFAULT_SCOPES, ApiKey
from jobs.owners import Sender

CHALLENGE = {"www-authenticate": "Bearer"}

NOBODY = Caller(scopes=frozenset())
"""The caller of a public path."""


class Unauthorized(Refusal):
    """The request has no key that is accepted. The dialect of the pages shows the sign-in page instead."""

    def __init__(self, detail: str) -> None:
        super().__init__("unauthorized", detail, headers=CHALLENGE)


UNNAMED = Caller(owners.ANONYMOUS, DEFAULT_SCOPES)
"""The caller of a request for which no proxy named an owner."""

ENDED = "the API key is no longer accepted"
"""The detail for a request whose key is revoked or expires while it waits."""


def credential(scope: Scope) -> str | None:
    """The secret that the request sends, well-formed or not. Raises Unauthorized if it sends several."""
    found: str | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, given = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorized("the scheme of Authorization must be Bearer")
        elif name == b"x-api-key":
            given = value.decode("latin-1")
        else:
            continue
        given = given.strip()
        if found is not None and found != given:
            raise Unauthorized("the request has several different API keys")
        found = given
    return found


class KeyResolver:
    """Callers by their API keys (BATCHLINE_AUTH=keys)."""

    def __init__(
        self,
        ring: KeyRing,
        audit: Audit,
        attempts: FailedAttempts,
        *,
        permissions: Permissions | None = None,
        session: Callable[[Scope], ApiKey | None] = lambda _: None,
    ) -> None:
        """`session` returns the key of a request without one in its headers: that of a signed-in browser."""
        self._ring = ring
        self._audit = audit
        self._attempts = attempts
        self._permissions = permissions or Permissions()
        self._session = session

    async def resolve(self, scope: Scope) -> Caller:
        """The caller. Raises Refusal, and QueueUnavailable if keys cannot be checked now."""
        try:
            need: Need = self._permissions.need(scope["method"], scope["path"])
            problem = None
        except Refusal as refusal:  # an unknown path, or a route that is not declared
            need, problem = "key", refusal
        if need == "public":
            return NOBODY
        caller = self._caller(scope)
        if problem is not None:
            raise problem
        if not allows(caller, need):
            self._audit.forbidden(f"needs the scope {need}", client_address(scope), caller.sender)
            raise Refusal("forbidden", f"the API key lacks the scope {need!r}", scope=need)
        return caller

    def _caller(self, scope: Scope) -> Caller:
        key = self._key(scope)
        self._audit.used(key, client_address(scope))
        return self._ring.caller(key)

    def _key(self, scope: Scope) -> ApiKey:
        try:
            secret = credential(scope)
        except Unauthorized:
            self._audit.refused("malformed", client_address(scope))
            raise
        if secret is None:
            if (key := self._session(scope)) is not None:
                return key
            if admitted(scope):  # its session was accepted when the request began
                raise Unauthorized(ENDED)
            self._audit.refused("no key", client_address(scope))
            raise Unauthorized("send an API key as `Authorization: Bearer bl_...`")
        if admitted(scope) and self._ring.by_secret(secret) is None:  # it was accepted when the request began
            raise Unauthorized(ENDED)
        return self.accept(scope, secret)

    def accept(self, scope: Scope, secret: str) -> ApiKey:
        """The key of a secret that the request sent, also with the sign-in page. Notes wrong ones.

        Raises Refusal, and QueueUnavailable if keys cannot be checked now.
        """
        found, fault = self._ring.judge(secret)
        if found is not None and fault is None:
            return found
        raise self._wrong_key(scope, fault or "unknown", found)

    def _wrong_key(self, scope: Scope, reason: str, key: ApiKey | None) -> Refusal:
        address = client_address(scope)
        self._audit.refused(reason, address, key)
        seconds = self._attempts.note(address)
        if seconds is None:
            return Unauthorized("the API key is not accepted")
        return Refusal(
            "too-many-attempts",
            f"too many wrong API keys came from {address}; retry in {seconds} s",
            headers={"retry-after": str(seconds)},
        )


class OwnerHeader(KeyResolver):
    """Callers by the owner that a trusted proxy names (BATCHLINE_OWNER_HEADER), without keys.

    Named owners, and the anonymous owner of all other requests, see their own jobs only. The server's figures
    and the jobs of all owners need an admin key of the environment.
    """

    def __init__(self, header: str, ring: KeyRing, audit: Audit, attempts: FailedAttempts) -> None:
        """`ring` has the admin keys only."""
        super().__init__(ring, audit, attempts)
        self._header = header.lower().encode()

    def _caller(self, scope: Scope) -> Caller:
        try:
            secret = credential(scope)
        except Unauthorized:
            secret = None  # other credentials are for the proxy
        if secret is not None and secret.startswith("bl_"):
            return super()._caller(scope)
        if not from_trusted_proxy(scope):
            return UNNAMED
        names = {
            value.decode("latin-1").strip(" \t")  # other space is a part of the name, which is refused
            for name, value in scope["headers"]
            if name == self._header
        }
        if not names:
            return UNNAMED
        name = names.pop()
        if names or not owners.NAME.fullmatch(name):
            header = self._header.decode()
            raise Refusal("bad-request", f"{header} must have one name: {owners.RULE}")
        return Caller(Sender(name), DEFAULT_SCOPES)
