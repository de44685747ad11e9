"""Listeners: which owners have endpoints, as this API process knows it.

A job of such an owner is marked when it is submitted, so that `conclude.lua` writes its end to the outbox.
The jobs of all other owners cost nothing. An endpoint hears of jobs that were submitted a second after it was
created, or later.
"""

import asyncio
from contextlib import suppress
from typing import NoReturn

import structlog

from hooks.store import HookStore
from jobs.errors import QueueUnavailable
from jobs.store.refreshing import keep_current

log = structlog.get_logger(__name__)

FIRST_LOAD = 1.0
"""Maximum seconds that the start waits for them."""
POLL_EVERY = 0.5
"""Seconds between polls of the version."""


class Listeners:
    """Knows which owners have endpoints. While it does not, all of them might: their jobs are marked."""

    def __init__(self, store: HookStore) -> None:
        self._store = store
        self._version: str | None = None
        self._owners: frozenset[str] = frozenset()

    def __contains__(self, owner: object) -> bool:
        return self._version is None or owner in self._owners

    async def refresh(self) -> None:
        """Loads the owners if any record has changed. Raises QueueUnavailable."""
        version, _ = await self._store.version()
        if version != self._version:
            found = await self._store.snapshot()
            self._owners = frozenset(each.owner for each in found.endpoints.values() if each.enabled)
            self._version = found.version

    async def begin(self) -> asyncio.Task[None]:
        """Loads the owners, if Redis answers soon; returns the task that keeps them current."""
        with suppress(QueueUnavailable, TimeoutError):
            async with asyncio.timeout(FIRST_LOAD):
                await self.refresh()
        return asyncio.create_task(self.run())

    async def run(self) -> NoReturn:
        """Keeps it current. Never returns."""
        await keep_current(self.refresh, POLL_EVERY, "endpoints", log)
