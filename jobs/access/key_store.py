"""KeyStore: all keys, in one hash on the first shard's server.

Each change writes a new random version into the same hash. An API process polls the version and loads all
keys when it differs (`jobs/ledger/versioned_hash.py`). Ids of stored keys begin with ID_PREFIX.
"""

import secrets
from collections.abc import Callable, Mapping

import msgspec
import structlog

from jobs.access.api_key import ID_PREFIX, ApiKey, digest, new_id, new_secret
from jobs.errors import KeyChanged, KeyNotFound
from jobs.ledger import keys
from jobs.ledger.shard import Shard
from jobs.ledger.versioned_hash import VERSION, VersionedHash
from jobs.store.lua import script

log = structlog.get_logger(__name__)

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors raised for data that is not the record of a key."""

TRIES = 5
"""Attempts of a change while others change the same key."""


class Snapshot(msgspec.Struct, frozen=True):
    """All keys at one time."""

    version: str
    now: int
    """Unix milliseconds by the server's clock."""
    keys: tuple[ApiKey, ...]


class KeyStore:
    """Creates, lists, rotates and revokes keys. Its methods raise QueueUnavailable."""

    def __init__(self, first: Shard) -> None:
        """`first` is `Shards.first`."""
        self._shard = first
        self._redis = first.redis
        self._name = first.key(keys.API_KEYS)
        self._records = VersionedHash(first, keys.API_KEYS)
        self._uses = first.key(keys.API_KEY_USES)

    async def version(self) -> tuple[str, int]:
        """Returns the version of the keys ("" if there never was one), and the server's time."""
        return await self._records.version()

    async def snapshot(self) -> Snapshot:
        """Returns all keys, also revoked ones."""
        version, now, stored = await self._records.records()
        found = (_decoded(name, data) for name, data in stored.items())
        return Snapshot(version, now, tuple(key for key in found if key is not None))

    async def list(self) -> list[ApiKey]:
        """Returns all keys, also revoked ones, the oldest first."""
        return sorted((await self.snapshot()).keys, key=lambda key: (key.created, key.id))

    async def create(self, fields: ApiKey, *, lifetime: int | None = None) -> tuple[ApiKey, str]:
        """Stores a new key with these fields, a new id and secret. Returns it and the secret.

        `lifetime`, in milliseconds, decides when it expires.
        """
        secret = new_secret()
        _, now = await self.version()
        expires = None if lifetime is None else now + lifetime
        key = msgspec.structs.replace(
            fields, id=new_id(), digest=digest(secret), created=now, expires=expires
        )
        if not await self._put(key, b""):
            raise KeyChanged(f"the id {key.id} is in use; try again")
        return key, secret

    async def revoke(self, key_id: str) -> tuple[ApiKey, bool]:
        """Revokes the key for ever; returns it, and whether it was not revoked before. Raises KeyNotFound."""
        fresh = False

        def revoked(key: ApiKey, now: int) -> ApiKey:
            nonlocal fresh
            fresh = key.revoked is None
            return msgspec.structs.replace(key, revoked=now) if fresh else key

        return await self._change(key_id, revoked), fresh

    async def rotate(self, key_id: str, grace: int) -> tuple[ApiKey, str]:
        """Gives the key a new secret. The present one is accepted for `grace` more milliseconds.

        Returns the key and the new secret. Raises KeyNotFound, also for a key that is revoked or expired.
        """
        secret = new_secret()

        def rotated(key: ApiKey, now: int) -> ApiKey:
            if key.digest == digest(secret):
                return key  # an earlier attempt, whose answer was lost
            if fault := key.fault(now):
                raise KeyNotFound(f"the key {key.id} is {fault}; create a new one")
            return msgspec.structs.replace(
                key, digest=digest(secret), previous=key.digest, previous_until=now + grace
            )

        return await self._change(key_id, rotated), secret

    async def note_uses(self, uses: Mapping[str, int]) -> None:
        """Stores when keys were last used, in Unix milliseconds by id."""
        async with self._shard.integrity.intact():
            await self._redis.hset(self._uses, mapping=dict(uses))  # type: ignore[misc]

    async def uses(self) -> dict[str, int]:
        """Returns when each key was last used, to about a minute, in Unix milliseconds by id."""
        async with self._shard.integrity.intact():
            stored = await self._redis.hgetall(self._uses)  # type: ignore[misc]
        return {name.decode(errors="replace"): int(at) for name, at in stored.items() if at.isdigit()}

    async def _change(self, key_id: str, change: Callable[[ApiKey, int], ApiKey]) -> ApiKey:
        for _ in range(TRIES):
            _, now = await self.version()
            async with self._shard.integrity.intact():
                stored = await self._redis.hget(self._name, key_id)  # type: ignore[misc]
            known = None if stored is None or key_id == VERSION else _decoded(key_id.encode(), stored)
            if known is None:
                raise KeyNotFound(f"no key has the id {key_id}")
            changed = change(known, now)
            if changed is known or await self._put(changed, stored):
                return changed
        raise KeyChanged(f"the key {key_id} is being changed by others; try again")

    async def _put(self, key: ApiKey, expected: bytes) -> bool:
        """Stores the key if its record still is the expected one, "" for none. Returns whether it did."""
        answer = await self._shard.run(
            script("put_key"),
            id=key.id,
            expected=expected,
            record=msgspec.json.encode(key),
            version=secrets.token_hex(8),
        )
        return bool(answer)


def _decoded(name: bytes, data: bytes) -> ApiKey | None:
    """Returns the key, or None if another program or a later release wrote the record."""
    try:
        key = msgspec.json.decode(data, type=ApiKey)
    except UNREADABLE:
        key = None
    if key is None or key.id.encode() != name or not key.id.startswith(ID_PREFIX):
        log.warning("record of a key cannot be read", key=name.decode(errors="replace")[:40])
        return None
    return key
