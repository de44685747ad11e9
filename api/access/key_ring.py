"""KeyRing: the keys as this API process knows them. A lookup is in memory and takes the same work for all.

1. Every POLL_EVERY seconds it asks for the keys' version, and loads all keys if that differs.
2. While Redis cannot be reached, the known keys are accepted for at most `cache` seconds more.
3. Keys that have been revoked, or whose time is over, are reported to `on_end`, so that their waits end.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NoReturn, Protocol

import structlog

from api.access.caller import Caller
from api.access.key_table import Entry, Found, KeyTable
from jobs.access.api_key import ApiKey
from jobs.access.key_store import Snapshot
from jobs.errors import QueueUnavailable
from jobs.owners import Sender
from jobs.store.refreshing import keep_current

log = structlog.get_logger(__name__)

POLL_EVERY = 0.4
"""Seconds between polls. A revocation must be effective within a second."""

USES_EVERY = 60.0
"""Seconds after which the time of a key's last use is stored again."""


class Keys(Protocol):
    """Where keys are stored: a `KeyStore`."""

    async def version(self) -> tuple[str, int]: ...

    async def snapshot(self) -> Snapshot: ...

    async def note_uses(self, uses: Mapping[str, int]) -> None: ...


class NoKeys:
    """Stores no keys: a server whose only keys are those of the environment."""

    async def version(self) -> tuple[str, int]:
        return "", int(time.time() * 1000)

    async def snapshot(self) -> Snapshot:
        return Snapshot("", int(time.time() * 1000), ())

    async def note_uses(self, uses: Mapping[str, int]) -> None:
        pass


class KeyRing:
    """All keys, and those of the environment (`fixed`), which are accepted without Redis too."""

    def __init__(self, store: Keys, *, cache: float, fixed: Callable[[], Iterable[ApiKey]] = tuple) -> None:
        """`cache` is in seconds. `fixed` is called at each poll."""
        self._store = store
        self._cache = cache
        self._fixed = fixed
        self._fixed_keys = tuple(fixed())
        self._stored: tuple[ApiKey, ...] = ()
        self._version: str | None = None
        self._entries: list[Entry] = []
        self._table = KeyTable(())
        self._by_id: dict[str, ApiKey] = {}
        self._callers: dict[str, Caller] = {}
        self._confirmed = -math.inf
        """When Redis last answered, by the monotonic clock."""
        self._ahead = (time.time() - time.monotonic()) * 1000
        """Milliseconds by which the server's clock is ahead of the monotonic one. Before its first answer, by
        which this machine's is: a session must not last longer without Redis."""
        self._usable: dict[bytes, str] = {}
        """Digests that are accepted, with the ids of their keys."""
        self._on_end: list[Callable[[str], object]] = []
        self._used: dict[str, int] = {}
        self._written: dict[str, float] = {}
        self._install()

    def by_secret(self, secret: str) -> ApiKey | None:
        """Returns the key of a secret, or None if there is none that is accepted now.

        Raises QueueUnavailable if the keys have not been confirmed for too long.
        """
        found = self._find(secret)
        return (None, found.key)[found.accepted]

    def judge(self, secret: str) -> tuple[ApiKey | None, str | None]:
        """Returns the key of a secret, if there is one, and why it is not accepted: None if it is.

        Raises as `by_secret`.
        """
        found = self._find(secret)
        return (None, found.key)[found.same], (found.fault, None)[found.accepted]

    def _find(self, secret: str) -> Found:
        found = self._table.find(secret, time.monotonic() * 1000 + self._ahead)
        if time.monotonic() - self._confirmed > self._cache:
            self._refuse_outdated(found.key if found.accepted else None)
        return found

    def by_id(self, key_id: str) -> ApiKey | None:
        """Returns the key with this id, or None if there is none that is accepted. Raises as `by_secret`."""
        key = self._by_id.get(key_id)
        if time.monotonic() - self._confirmed > self._cache:
            self._refuse_outdated(key)
        return key if key is not None and key.fault(self.now()) is None else None

    def caller(self, key: ApiKey) -> Caller:
        """Returns the caller of a key that this ring returned; notes the use."""
        self._used[key.id] = self.now()
        return self._callers[key.id]

    def on_end(self, callback: Callable[[str], object]) -> None:
        """From now on `callback` gets the id of each key of which a secret is no longer accepted.

        It is called within a second.
        """
        self._on_end.append(callback)

    def now(self) -> int:
        """Returns the time by the server's clock, in Unix milliseconds, as far as known."""
        return int(time.monotonic() * 1000 + self._ahead)

    async def run(self) -> NoReturn:
        """Keeps the keys current. Never returns."""
        await keep_current(self.refresh, POLL_EVERY, "keys", log)

    async def refresh(self) -> None:
        """Loads the keys if they have changed, and stores when keys were used. Raises QueueUnavailable."""
        if (fixed := tuple(self._fixed())) != self._fixed_keys:
            self._fixed_keys = fixed
            self._install()
        try:
            version, now = await self._store.version()
            if version != self._version:
                found = await self._store.snapshot()
                if self._version is not None:
                    _log_changes(self._stored, found.keys)
                self._stored, now = found.keys, found.now
                self._install()
                self._version = found.version  # last: after an error, the keys are loaded again
            self._confirmed = time.monotonic()
            self._ahead = now - self._confirmed * 1000
        finally:
            self._report_ended()
        await self._store_uses()

    def _install(self) -> None:
        every = (*self._stored, *self._fixed_keys)
        self._by_id = {key.id: key for key in every}
        self._callers = {key.id: _caller(key) for key in every}
        self._entries = [entry for key in every for entry in _entries(key)]
        self._table = KeyTable(self._entries)

    def _refuse_outdated(self, key: ApiKey | None) -> None:
        if key not in self._fixed_keys:
            raise QueueUnavailable("the keys cannot be read from Redis")

    def _report_ended(self) -> None:
        now = self.now()
        usable = {entry.digest: entry.key.id for entry in self._entries if entry.until > now}
        ended = {key_id for hashed, key_id in self._usable.items() if hashed not in usable}
        self._usable = usable
        for key_id in ended:
            for callback in self._on_end:
                callback(key_id)

    async def _store_uses(self) -> None:
        """Writes each key's last use at most once in USES_EVERY seconds."""
        at = time.monotonic()
        due = {
            key_id: used
            for key_id, used in self._used.items()
            if at - self._written.get(key_id, -math.inf) >= USES_EVERY
        }
        if due:
            await self._store.note_uses(due)
            for key_id in due:
                self._written[key_id] = at
                if self._used[key_id] == due[key_id]:
                    del self._used[key_id]


def _entries(key: ApiKey) -> Iterator[Entry]:
    """The entries of a key: its digest, and the one before the last rotation."""
    until, fault = (math.inf, "") if key.expires is None else (key.expires, "expired")
    if key.revoked is not None:
        until, fault = 0, "revoked"
    yield Entry(bytes.fromhex(key.digest), key, until, fault)
    if key.previous:
        if key.previous_until < until:
            until, fault = key.previous_until, "rotated"
        yield Entry(bytes.fromhex(key.previous), key, until, fault)


def _log_changes(before: Iterable[ApiKey], after: Iterable[ApiKey]) -> None:
    """Logs what was done with keys since they were last loaded, wherever the command ran."""
    known = {key.id: key for key in before}
    for key in after:
        about = {"owner": key.owner, "key": key.id}
        earlier = known.get(key.id)
        if earlier is None:
            log.info("key created", scopes=sorted(key.scopes), **about)
        elif key.revoked is not None and earlier.revoked is None:
            log.info("key revoked", **about)
        elif key.digest != earlier.digest:
            log.info("key rotated", **about)


def _caller(key: ApiKey) -> Caller:
    sender = Sender(owner=key.owner, key=key.id, weight=key.weight, limits=key.limits)
    return Caller(sender, key.scopes, key.models)
