"""A store that reaches one of its shards through a proxy, which may cut it off as another server may be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.store import Server
from tests.faults.proxy import Proxy, between


class Apart(Server):
    """Like a plain server, with another client for one shard."""

    def __init__(self, redis: ArqRedis, shard: int, through: ArqRedis) -> None:
        super().__init__(redis)
        self._tag = keys.tag(shard, clustered=False)
        self._through = through

    def client(self, tag: str) -> ArqRedis:
        return self._through if tag == self._tag else super().client(tag)


@asynccontextmanager
async def apart(redis: ArqRedis, settings: Settings, shard: int) -> AsyncIterator[tuple[Apart, Proxy]]:
    """The store, and the proxy through which that shard is reached: cut it off with `part`."""
    port, _, database = settings.redis_url.rpartition(":")[2].partition("/")
    async with between(int(port)) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/{database}"
        through = connect(settings.model_copy(update={"redis_url": url}))
        yield Apart(redis, shard, through), proxy
        proxy.heal()
        await through.aclose(close_connection_pool=True)
