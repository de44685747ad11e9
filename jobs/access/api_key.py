"""ApiKey: a key's record, and its secret. The record has only the secret's digest.

A secret has 256 random bits, so one SHA-256 is enough: a slow hash is for passwords that
can be guessed.
"""

import hashlib
import secrets
from typing import Literal, get_args

import msgspec

from jobs.owners import UNLIMITED, Limits

KeyScope = Literal["submit", "read", "admin"]
"""What a key allows. `submit`: submit and cancel jobs. `read`: read jobs, models and usage. `admin`: all jobs
of all owners, the server's figures and metrics, and the page of owners; it includes the other two."""

SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)

DEFAULT_SCOPES: frozenset[KeyScope] = frozenset({"submit", "read"})

ID_CHARACTERS = 10


class ApiKey(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A key as it is stored. Times are Unix milliseconds by the clock of the server that stores it."""

    id: str
    """Names the key in commands, logs and usage; it is not secret."""
    owner: str
    digest: str
    """SHA-256 of the secret, hex digits."""
    scopes: frozenset[KeyScope] = DEFAULT_SCOPES
    models: frozenset[str] = frozenset()
    """Names of the models that the key may use; empty for all."""
    limits: Limits = UNLIMITED
    weight: float = 1.0
    """The owner's share of the workers, relative to other owners."""
    created: int = 0
    expires: int | None = None
    revoked: int | None = None
    previous: str = ""
    """The digest before the last rotation."""
    previous_until: int = 0
    """Until when a secret with the previous digest is accepted."""

    def fault(self, now: int) -> str | None:
        """Returns why the key is not accepted at that time, or None if it is."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return None

    def state(self, now: int) -> str:
        """Returns a word for people: the fault, or `rotating` while two secrets are accepted, or `active`."""
        return self.fault(now) or ("rotating" if self.previous_until > now else "active")


def new_id() -> str:
    """Returns a new key's id: `k_` and 10 random characters, about 2**50 possible ids."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return "k_" + "".join(secrets.choice(alphabet) for _ in range(ID_CHARACTERS))


def new_secret() -> str:
    """Returns a new secret: `bl_` and 43 characters."""
    return "bl_" + secrets.token_urlsafe(32)


def raw_digest(secret: str) -> bytes:
    """Returns the SHA-256 of any text."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def digest(secret: str) -> str:
    """Returns the SHA-256 of any text, hex digits."""
    return raw_digest(secret).hex()
