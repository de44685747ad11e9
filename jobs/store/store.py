"""Store: the servers that hold the queue. A plain server and Sentinel are one `Server`.

The ledger needs from it only a client for each hash tag: all keys of one shard are on one server.
"""

from collections.abc import Mapping
from typing import Protocol

from arq.connections import ArqRedis
from redis.asyncio import Redis

from jobs.settings import Settings
from jobs.store.cluster import is_cluster_url
from jobs.store.connection import connect, connect_cluster


class Store(Protocol):
    """The servers of one queue. Its clients connect when they are first used."""

    clustered: bool
    """Whether each key must carry a hash tag, because servers hold different keys."""

    def client(self, tag: str) -> ArqRedis:
        """Returns the client of the server that holds the keys with this hash tag, such as `{17}`."""

    @property
    def events(self) -> ArqRedis:
        """A client to publish and subscribe with: messages reach subscribers on any server."""

    async def primaries(self) -> Mapping[str, Redis]:
        """Returns the servers that accept writes, by address without a password. Raises QueueUnavailable."""

    async def aclose(self) -> None:
        """Closes all connections."""


class Server:
    """One server, or the primary that sentinels name."""

    clustered = False

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    def client(self, tag: str) -> ArqRedis:
        return self._redis

    @property
    def events(self) -> ArqRedis:
        return self._redis

    async def primaries(self) -> Mapping[str, Redis]:
        return {"": self._redis}

    async def aclose(self) -> None:
        await self._redis.aclose(close_connection_pool=True)


def open_store(settings: Settings, *, connections: int = 64) -> Store:
    """Returns the store of BATCHLINE_REDIS_URL. Raises ConfigurationError for an invalid address.

    `connections` is the most to one server. In a cluster a client of a hash tag has at most half as many: the
    load spreads over the tags, but each must have some for blocking pops.
    """
    if is_cluster_url(settings.redis_url):
        return connect_cluster(settings, connections=max(1, connections // 2))
    return Server(connect(settings, connections=connections))
