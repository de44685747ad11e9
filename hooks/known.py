"""Known: the endpoints and secrets as a sender knows them, read again when they change."""

import time

from hooks.endpoints import Endpoint, Secret
from hooks.store import HookStore, Snapshot

FRESH = 0.5
"""Seconds for which nothing is asked again."""


class Known:
    """A copy of all records. Its methods raise QueueUnavailable."""

    def __init__(self, store: HookStore) -> None:
        self._store = store
        self._found = Snapshot("", 0, {}, {})
        self._asked = -FRESH
        self._ahead = 0.0
        """Milliseconds by which the server's clock is ahead of the monotonic one."""

    @property
    def now(self) -> int:
        """Unix ms by the server's clock."""
        return int(time.monotonic() * 1000 + self._ahead)

    async def current(self) -> Snapshot:
        """Returns the records, as they were FRESH seconds ago or later."""
        if time.monotonic() - self._asked >= FRESH:
            await self.refresh()
        return self._found

    async def refresh(self) -> Snapshot:
        """Returns the records as they are now."""
        version, now = await self._store.version()
        if version != self._found.version:
            self._found = await self._store.snapshot()
        self._asked = time.monotonic()
        self._ahead = now - self._asked * 1000
        return self._found

    async def endpoint(self, endpoint_id: str, url: str) -> Endpoint | None:
        """Returns an endpoint as it is now, unless the copy has it enabled and with this address."""
        found = (await self.current()).endpoints.get(endpoint_id)
        if found is None or not found.enabled or found.url != url:
            found = (await self.refresh()).endpoints.get(endpoint_id)
        return found

    async def secret(self, owner: str) -> Secret:
        """Returns the secret of an owner, which is created if there is none. Raises HookChanged."""
        return (await self.current()).secrets.get(owner) or await self._store.secret(owner)
