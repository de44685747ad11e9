"""ApiKey: a key's record, and its secret. The record has only the secret's digest.

A secret has 256 random bits, so one SHA-256 is enough: a slow hash is for passwords that
can be guessed.
"""

import hashlib
import secrets
from typing import Annotated, Literal, get_args

import msgspec

from jobs.owners import NAME, UNLIMITED, Limits

KeyScope = Literal["submit", "read", "admin"]
"""What a key allows. `submit`: submit and cancel jobs, upload and delete files. `read`: read jobs, files,
models and usage. `admin`: all jobs and files of all owners, the server's figures and metrics, and the page of
owners; it includes the other two."""

SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)

DEFAULT_SCOPES: frozenset[KeyScope] = frozenset({"submit", "read"})

ID_PREFIX = "k_"
"""Begins the ids of stored keys; no key of the environment has it."""
ID_CHARACTERS = 10

Moment = Annotated[int, msgspec.Meta(ge=0, lt=10**14)]
"""Unix milliseconds, within the years that a date can have."""


class ApiKey(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A key as it is stored. Times are Unix milliseconds by the clock of the server that stores it.

    The patterns and bounds are checked when a record is read: another program may have written it.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_]{1,64}\Z")]
    """Names the key in commands, logs and usage; it is not secret."""
    owner: Annotated[str, msgspec.Meta(pattern=rf"\A(?:{NAME.pattern})\Z")]
    digest: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    """SHA-256 of the secret, hex digits."""
    scopes: frozenset[KeyScope] = DEFAULT_SCOPES
    models: frozenset[str] = frozenset()
    """Names of the models that the key may use; empty for all."""
    limits: Limits = UNLIMITED
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 1.0
    """The owner's share of the workers, relative to other owners."""
    created: Moment = 0
    expires: Moment | None = None
    revoked: Moment | None = None
    previous: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""
    """The digest before the last rotation."""
    previous_until: Moment = 0
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
    """Returns a new key's id: ID_PREFIX and 10 random characters, about 2**50 possible ids."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return ID_PREFIX + "".join(secrets.choice(alphabet) for _ in range(ID_CHARACTERS))


def new_secret() -> str:
    """Returns a new secret: `bl_` and 43 characters."""
    return "bl_" + secrets.token_urlsafe(32)


def raw_digest(secret: str) -> bytes:
    """Returns the SHA-256 of any text."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def digest(secret: str) -> str:
    """Returns the SHA-256 of any text, hex digits."""
    return raw_digest(secret).hex()
