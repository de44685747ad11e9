"""A server that requires keys, and keys to call it with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from api.access.access import Access
from api.services import Services
from jobs.access.api_key import ApiKey, KeyScope, new_secret
from jobs.access.key_store import KeyStore
from jobs.settings import Settings
from tests.api.api_process import mounted

ADMIN = new_secret()


def with_keys(settings: Settings, **changed: Any) -> Settings:
    given = {"auth": "keys", "admin_key": SecretStr(ADMIN), **changed}
    return settings.model_copy(update=given)


class Keyed:
    """A client of a server with keys, and the store of its keys."""

    def __init__(self, client: httpx.AsyncClient, services: Services) -> None:
        self.client = client
        self.services = services
        self.access: Access = services.access
        assert self.access.ring
        self.ring = self.access.ring
        self.store = KeyStore(services.ledger.shards.first)

    async def key(
        self, owner: str = "alice", scopes: frozenset[KeyScope] = frozenset({"submit", "read"}), **fields: Any
    ) -> tuple[ApiKey, str]:
        """A new key that the server knows, and its secret."""
        lifetime = fields.pop("lifetime", None)
        key = ApiKey(id="", owner=owner, digest="", scopes=scopes, **fields)
        created = await self.store.create(key, lifetime=lifetime)
        await self.ring.refresh()
        return created


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@asynccontextmanager
async def keyed(settings: Settings, **changed: Any) -> AsyncIterator[Keyed]:
    async with mounted(with_keys(settings, **changed)) as (client, services):
        yield Keyed(client, services)
