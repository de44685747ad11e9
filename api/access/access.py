"""Access: who may use this server, according to the settings: the resolver, and what it needs."""

import asyncio
import ipaddress
from contextlib import suppress
from dataclasses import dataclass

from api.access.admin_keys import AdminKeys
from api.access.audit import Audit
from api.access.caller import Anonymous, Resolver
from api.access.failed_attempts import FailedAttempts
from api.access.key_ring import KeyRing, NoKeys
from api.access.resolver import KeyResolver, OwnerHeader
from api.access.sessions import Sessions, SignIn
from jobs.access.key_store import KeyStore
from jobs.errors import QueueUnavailable
from jobs.ledger.shard import Shard
from jobs.settings import Settings

FIRST_LOAD = 1.0
"""Maximum seconds that the start waits for the keys. Without them requests get 503."""

OPEN = "everybody who reaches this server can read all jobs: set BATCHLINE_AUTH=keys"
"""The warning for a server that `is_open`."""


@dataclass(frozen=True)
class Access:
    """Created once by the lifespan."""

    resolver: Resolver
    ring: KeyRing | None = None
    """None if no request needs a key."""
    audit: Audit | None = None
    sign_in: SignIn | None = None
    """None if pages need no key."""

    async def begin(self) -> list[asyncio.Task[None]]:
        """Loads the keys, if Redis answers soon; returns the tasks that keep them current."""
        if self.ring is None or self.audit is None:
            return []
        with suppress(QueueUnavailable, TimeoutError):
            async with asyncio.timeout(FIRST_LOAD):
                await self.ring.refresh()
        return [asyncio.create_task(self.ring.run()), asyncio.create_task(self.audit.run())]


def access(settings: Settings, admin_keys: AdminKeys, first: Shard) -> Access:
    """The access that the settings ask for. `first` is the shard with the keys."""
    audit, attempts = Audit(), FailedAttempts(settings.max_failed_attempts)
    if settings.auth == "keys":
        ring = KeyRing(KeyStore(first), cache=settings.key_cache, fixed=admin_keys)
        sessions = Sessions(ring)
        resolver = KeyResolver(ring, audit, attempts, session=sessions.key)
        return Access(resolver, ring, audit, SignIn(sessions, resolver.accept))
    if settings.owner_header:
        ring = KeyRing(NoKeys(), cache=float("inf"), fixed=admin_keys)
        return Access(OwnerHeader(settings.owner_header, ring, audit, attempts), ring, audit)
    return Access(Anonymous())


def is_open(settings: Settings) -> bool:
    """Whether other machines may reach the server and nobody needs a key."""
    address = settings.published_host or settings.host
    return settings.auth == "off" and not settings.owner_header and not _is_loopback(address)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
