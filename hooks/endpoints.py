"""Endpoint: an address of an owner that is told of the ends of its jobs and batches. Secret: what signs them.

Secrets are stored as they are, because a signature needs them (unlike API keys, of which only digests are).
"""

import base64
import binascii
import secrets
from typing import Annotated

import msgspec
from msgspec import Meta

from jobs.owners import NAME
from jobs.webhook import MAX_URL, Event

ID_PREFIX = "we_"
SECRET_PREFIX = "whsec_"  # noqa: S105 - begins a secret
SECRET_BYTES = 32

OVERLAP = 86_400_000
"""Milliseconds for which the secret before a rotation signs too."""

Owner = Annotated[str, Meta(pattern=rf"\A((?:{NAME.pattern}))?\Z")]
"""The name of an owner; empty for the anonymous one."""
Moment = Annotated[int, Meta(ge=0, lt=10**14)]
"""Unix ms by the server's clock."""


class Secret(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The secret of an owner, for the webhooks of single jobs and batches."""

    owner: Owner
    secret: str
    previous: str = ""
    """The secret before the last rotation."""
    previous_until: Moment = 0
    """Until when it signs too."""

    def keys(self, now: int) -> list[bytes]:
        """Returns the keys that sign at that time (Unix ms), the newest first."""
        texts = [self.secret, self.previous] if self.previous_until > now else [self.secret]
        return [key_of(text) for text in texts]


class Endpoint(Secret, frozen=True, omit_defaults=True, kw_only=True):
    """An endpoint as it is stored."""

    id: Annotated[str, Meta(pattern=r"\Awe_[0-9a-f]{24}\Z")]
    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL)]
    events: tuple[Event, ...] = ()
    """The events that are sent; empty for all."""
    description: str = ""
    created: Moment = 0
    enabled: bool = True
    reason: str = ""
    """Why it was disabled, if the server did it."""

    def wants(self, event: str) -> bool:
        return self.enabled and (not self.events or event in self.events)


def new_id() -> str:
    return ID_PREFIX + secrets.token_hex(12)


def new_secret() -> str:
    """Returns a new secret: `whsec_` and 32 random bytes in base64 (Standard Webhooks)."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Returns the key of a secret. Raises ValueError if another program wrote something else."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("the secret is not base64") from None
    if len(key) < SECRET_BYTES // 2:
        raise ValueError("the secret is too short to sign")
    return key
