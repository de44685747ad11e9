"""HookStore: all endpoints and secrets, in one hash on the first shard's server.

As with API keys, each change writes a new random version into the same hash, and whoever keeps a copy polls
the version (`jobs/ledger/versioned_hash.py`).
"""

import secrets
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from hooks import keys
from hooks.endpoints import OVERLAP, Endpoint, Secret, new_secret
from jobs.errors import HookChanged, HookNotFound
from jobs.ledger.shard import Shard
from jobs.ledger.versioned_hash import VersionedHash
from jobs.store.lua import script

log = structlog.get_logger(__name__)

OF_OWNER = "secret:"
"""Begins the fields of the secrets of owners."""

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
TRIES = 5
"""Attempts of a change while others change the same record."""

R = TypeVar("R", bound=Secret)


class Snapshot(msgspec.Struct, frozen=True):
    """All endpoints and secrets at one time."""

    version: str
    now: int
    """Unix ms by the server's clock."""
    endpoints: dict[str, Endpoint]
    """By id."""
    secrets: dict[str, Secret]
    """By owner."""

    def of_owner(self, owner: str) -> list[Endpoint]:
        """Returns the owner's endpoints, the oldest first."""
        found = [each for each in self.endpoints.values() if each.owner == owner]
        return sorted(found, key=lambda each: (each.created, each.id))


class HookStore:
    """Its methods raise QueueUnavailable."""

    def __init__(self, first: Shard) -> None:
        """`first` is `Shards.first`."""
        self._shard = first
        self._redis = first.redis
        self._name = first.key(keys.HOOKS)
        self._also = {self._name: keys.HOOKS}
        self._records = VersionedHash(first, keys.HOOKS)

    async def version(self) -> tuple[str, int]:
        """Returns the version ("" if there never was a record), and the server's time in Unix ms."""
        return await self._records.version()

    async def snapshot(self) -> Snapshot:
        """Returns all records. Those that cannot be read are logged and left out."""
        version, now, stored = await self._records.records()
        found = Snapshot(version, now, {}, {})
        for field, data in stored.items():
            name = field.decode(errors="replace")
            if name.startswith(OF_OWNER):
                secret = _decoded(name, data, Secret)
                if secret is not None:
                    found.secrets[secret.owner] = secret
            elif (endpoint := _decoded(name, data, Endpoint)) is not None:
                found.endpoints[endpoint.id] = endpoint
        return found

    async def create(self, endpoint: Endpoint) -> Endpoint:
        """Stores a new endpoint; returns it with its time of creation. Raises HookChanged."""
        _, now = await self.version()
        created = replace(endpoint, created=now)
        if not await self._put(endpoint.id, b"", created):
            raise HookChanged(f"the id {endpoint.id} is in use; try again")
        return created

    async def change(self, endpoint_id: str, change: Callable[[Endpoint, int], Endpoint | None]) -> Endpoint:
        """Changes an endpoint, or deletes it if `change` returns None; returns the last record.

        `change` gets the record and the server's time. Raises HookNotFound, HookChanged, and what `change`
        raises.
        """
        return await self._change(endpoint_id, Endpoint, None, change)

    async def secret(self, owner: str) -> Secret:
        """Returns the secret of an owner, which is created when it is first asked for. Raises HookChanged."""
        return await self._change(OF_OWNER + owner, Secret, Secret(owner=owner, secret=new_secret()), _same)

    async def rotate(self, owner: str) -> Secret:
        """Gives the owner a new secret; returns it. Raises HookChanged."""
        return await self._change(OF_OWNER + owner, Secret, Secret(owner=owner, secret=new_secret()), rotated)

    async def _change(
        self, name: str, kind: type[R], absent: R | None, change: Callable[[R, int], R | None]
    ) -> R:
        for _ in range(TRIES):
            _, now = await self.version()
            async with self._shard.integrity.intact(self._also):
                stored = await self._redis.hget(self._name, name)  # type: ignore[misc]
            known = None if stored is None else _decoded(name, stored, kind)
            if known is None:
                if absent is None or stored is not None:
                    what = "no endpoint has this id" if absent is None else "the secret cannot be read"
                    raise HookNotFound(what)
                if await self._put(name, b"", absent):
                    return absent
                continue
            changed = change(known, now)
            if changed is known or await self._put(name, stored, changed):
                return changed or known
        raise HookChanged("it is being changed by others; try again")

    async def _put(self, name: str, expected: bytes, record: Secret | None) -> bool:
        """Stores or deletes the record if it still is the expected one, "" for none."""
        answer = await self._shard.run(
            script("put_hook", keys.ROOM),
            also=self._also,
            hooks=self._name,
            id=name,
            expected=expected,
            record=b"" if record is None else msgspec.json.encode(record),
            version=secrets.token_hex(8),
        )
        return bool(answer)


def rotated(record: R, now: int) -> R:
    """Returns the record with a new secret. The present one signs for OVERLAP more."""
    return replace(record, secret=new_secret(), previous=record.secret, previous_until=now + OVERLAP)


def _same(record: Secret, now: int) -> Secret:
    return record


def _decoded(name: str, data: bytes, kind: type[R]) -> R | None:
    """Returns the record, or None if another program or a later release wrote it."""
    record: R | None
    try:
        record = msgspec.json.decode(data, type=kind)
    except UNREADABLE:
        record = None
    if record is not None and name in (getattr(record, "id", None), OF_OWNER + record.owner):
        return record
    log.warning("record of a webhook cannot be read", record=name[:60])
    return None
