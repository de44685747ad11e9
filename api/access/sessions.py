"""Sessions of the pages: a signed cookie that stands for a key after a person has signed in with it.

A cookie is the key's id, the time, a random part and their signature. Its secret is the digest in the key's
record, so every API process can verify it, nothing is stored, and it ends when the key is revoked, rotated or
expires. The browser never keeps the key itself.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starlette.types import Scope

from api.access.caller import EVERYTHING, known_caller
from api.access.key_ring import KeyRing
from api.problems.problem import Refusal
from jobs.access.api_key import ApiKey, KeyScope, digest

LIFETIME = 12 * 3600
"""Seconds after which a person must sign in again."""

NAME = "batchline-session"
SIGN_IN_NAME = "batchline-sign-in"
"""The cookie of the sign-in form, from before there is a session."""

SECURE_PREFIX = "__Host-"
"""Prefix of cookies over HTTPS. A browser accepts such a cookie only from this host, and only over HTTPS."""

_FORMS = re.compile(
    r"/submit|/try|/sign-out|/(?:jobs|batches)/[^/]+/cancel"
    r"|/webhooks/[^/]+/test|/webhooks/deliveries/[^/]+/retry"
)
"""Paths of the pages' forms. Their handlers check the form's token (`api/pages/forms.py`)."""

_VALUE = re.compile(r"(?P<signed>(?P<key>\w{1,64})\.(?P<issued>\d{1,12})\.[\w-]{22})\.(?P<mac>[0-9a-f]{64})")

_SESSION = "batchline.session"
"""The key of the session in a request's scope."""


@dataclass(frozen=True, slots=True)
class Session:
    """A valid cookie."""

    key: ApiKey
    value: str

    @property
    def token(self) -> str:
        """The token that each form of this session has. Another site's page cannot know it."""
        return _mac(self.key, "form", self.value)


class Sessions:
    """Issues and verifies cookies."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def issue(self, key: ApiKey) -> str:
        """The value of a new cookie."""
        signed = f"{key.id}.{self._ring.now() // 1000}.{secrets.token_urlsafe(16)}"
        return f"{signed}.{_mac(key, 'session', signed)}"

    def key(self, scope: Scope) -> ApiKey | None:
        """The key of the request's session, or None. Raises as `find`."""
        session = self.find(scope)
        return None if session is None else session.key

    def find(self, scope: Scope) -> Session | None:
        """The session of the request, or None. Raises QueueUnavailable as `KeyRing.by_id`.

        A request that changes something has a session only if it is one of the pages' forms, which have
        tokens. For all other interfaces a browser would add the cookie to what another page makes it send.
        """
        if scope["method"] not in ("GET", "HEAD") and not _FORMS.fullmatch(scope["path"]):
            return None
        for value in cookies(scope, name(scope, NAME)):
            if session := self._verified(value):
                scope[_SESSION] = session
                return session
        return None

    def _verified(self, value: str) -> Session | None:
        parts = _VALUE.fullmatch(value)
        if parts is None or (key := self._ring.by_id(parts["key"])) is None:
            return None
        if not hmac.compare_digest(parts["mac"], _mac(key, "session", parts["signed"])):
            return None
        if int(parts["issued"]) + LIFETIME <= self._ring.now() // 1000:
            return None
        return Session(key, value)


class SignIn:
    """Exchanges a key for a session."""

    def __init__(self, sessions: Sessions, accept: Callable[[Scope, str], ApiKey]) -> None:
        """`accept` returns the key of a secret or raises, as `KeyResolver.accept`."""
        self.sessions = sessions
        self._accept = accept

    def open(self, scope: Scope, secret: str) -> Session:
        """A new session. Raises as `KeyResolver.accept`.

        A secret from before the key's rotation opens none, because the session would outlast it.
        """
        key = self._accept(scope, secret)
        if digest(secret) != key.digest:
            raise Refusal("unauthorized", "the API key was rotated")
        return Session(key, self.sessions.issue(key))


def session_of(scope: Scope) -> Session | None:
    """The session with which the request was admitted. None for one with a key, and if keys are off."""
    found: Session | None = scope.get(_SESSION)
    return found


def may(scope: Scope) -> frozenset[KeyScope]:
    """What the caller may do, so that a page shows nothing else. Nothing without a key while keys are on."""
    caller, session = known_caller(scope), session_of(scope)
    return _all_of(caller.scopes if caller else session.key.scopes if session else frozenset())


def home(scopes: frozenset[KeyScope]) -> str:
    """The path of the first page: the overview, or the form for a caller who may only submit."""
    return "/try" if _all_of(scopes) == {"submit"} else "/"


def _all_of(scopes: frozenset[KeyScope]) -> frozenset[KeyScope]:
    return EVERYTHING if "admin" in scopes else scopes


def name(scope: Scope, base: str) -> str:
    """The name of a cookie for this request's scheme."""
    return SECURE_PREFIX + base if scope["scheme"] == "https" else base


def cookies(scope: Scope, wanted: str) -> Iterator[str]:
    """The values of all cookies with this name: a browser may send several, set for different paths."""
    for header, content in scope["headers"]:
        if header != b"cookie":
            continue
        for pair in content.decode("latin-1").split(";"):
            found, _, value = pair.strip().partition("=")
            if found == wanted:
                yield value


def set_cookie(scope: Scope, base: str, value: str) -> str:
    """The Set-Cookie header: not for scripts, not for requests that another site began. "" deletes it."""
    seconds = LIFETIME if value else 0
    secure = "; Secure" if scope["scheme"] == "https" else ""
    return f"{name(scope, base)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def form_token(cookie: str) -> str:
    """The token of the sign-in form, which belongs to the form's cookie."""
    return hmac.digest(cookie.encode(), b"sign-in", "sha256").hex()


def _mac(key: ApiKey, purpose: str, text: str) -> str:
    return hmac.digest(key.digest.encode(), f"batchline {purpose}\n{text}".encode(), "sha256").hex()
