"""A cluster of Redis or Valkey as a store: a pool of connections for each hash tag.

redis[s]+cluster://[user:password@]host:port[,host:port...]/[?ssl_ca_certs=FILE&...]

1. All keys of a hash tag are in one slot, so one primary serves them, and a client of a tag is an ordinary
   client: pipelines, blocking pops and WAIT run on one connection, as on a single server.
2. A connection looks up the slot's primary in the `SlotMap` when it connects, and a pool reconnects a
   connection when the map names another primary.
3. A connection whose server answers MOVED, or that it cannot serve the slot now, fails like a lost one. So
   redis-py's single retry sends the command, or the whole pipeline, to the new primary.
4. A connection whose server hangs fails in the same way once another primary has its slot: `hanging.py`.

Slots must be moved by `CLUSTER MIGRATESLOTS` (Valkey 9), which moves them atomically.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import chain
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from jobs.errors import QueueUnavailable
from jobs.store.address import Address, parse
from jobs.store.hanging import Watch
from jobs.store.node import ROUTED, NodeConnection
from jobs.store.pool import Pool
from jobs.store.slots import Node, SlotMap

SCHEMES = {"redis+cluster": False, "rediss+cluster": True}
"""Scheme -> whether connections use TLS."""

DEFAULT_PORT = 6379

ADMIN_CONNECTIONS = 2
"""Most connections to one primary for INFO and CONFIG."""


def is_cluster_url(url: str) -> bool:
    """Returns whether the URL is a cluster's address, valid or not."""
    return url.partition("://")[0] in SCHEMES


def address(url: str) -> Address:
    """Parses a cluster's address. Raises ValueError if it is invalid; the text may contain a password."""
    parsed = parse(url, tls=SCHEMES[url.partition("://")[0]], default_port=DEFAULT_PORT)
    if parsed.path not in ("", "0") or parsed.extra:  # a cluster has one database
        raise ValueError(url)
    return parsed


class SlotPool(Pool):
    """A pool of connections to the primary of one slot."""

    def __init__(self, slots: SlotMap, slot: int, watch: Watch, **options: Any) -> None:
        self._slots = slots
        self._slot = slot

        async def locate() -> Node:
            watch.start()
            return await slots.find(slot)

        super().__init__(slots=slots, locate=locate, **options)

    def in_use(self) -> list[tuple[int, NodeConnection]]:
        """Returns the connections that wait for an answer, or are about to send a command, with the slot."""
        found: Any = [one for one in self._in_use_connections if one.is_connected]
        return [(self._slot, connection) for connection in found]

    async def ensure_connection(self, connection: Any) -> None:
        if connection.is_connected and connection.node != self._slots.owner(self._slot):
            await connection.disconnect(nowait=True)  # the former owner may hang
        try:
            await super().ensure_connection(connection)
        except RedisConnectionError:
            if not connection.aborted:
                raise
            await super().ensure_connection(connection)


class Cluster:
    """The store of a cluster's address."""

    clustered = True

    def __init__(self, url: str, options: dict[str, Any], short: dict[str, Any]) -> None:
        """`options` are redis-py's for a pool, `short` those for connections that ask for the map.

        `max_connections` holds for each hash tag. Raises ValueError for an invalid address.
        """
        parsed = address(url)
        self._short = {**short, **parsed.server}
        self._slots = SlotMap(parsed.hosts, self._short)
        routed = ROUTED[parsed.server["connection_class"]]
        self._options = {**options, **parsed.server, "connection_class": routed}
        self._clients: dict[int, ArqRedis] = {}
        self._pools: list[SlotPool] = []
        self._watch = Watch(self._slots, lambda: chain.from_iterable(pool.in_use() for pool in self._pools))
        self._primaries: dict[Node, Redis] = {}
        self._events = self._client_of(self._answering, self._options["max_connections"])

    def client(self, tag: str) -> ArqRedis:
        """Returns the client of the primary that holds the keys with this hash tag, such as `{17}`."""
        slot = key_slot(tag.encode())
        if slot not in self._clients:
            self._pools.append(SlotPool(self._slots, slot, self._watch, **self._options))
            self._clients[slot] = ArqRedis(self._pools[-1])
        return self._clients[slot]

    @property
    def events(self) -> ArqRedis:
        """A client of any node that answers: the nodes forward messages to each other."""
        return self._events

    async def primaries(self) -> Mapping[str, Redis]:
        """Returns a client for each primary by `host:port`. Raises QueueUnavailable if no node answers.

        One of them may not answer: wait for each with a time limit, and for all at once.
        """
        try:
            await self._slots.refresh()
        except RedisError as error:
            raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
        current = self._slots.primaries()
        former = [self._primaries.pop(node) for node in self._primaries.keys() - set(current)]
        await asyncio.gather(*(client.aclose(close_connection_pool=True) for client in former))
        for node in current:
            if node not in self._primaries:
                self._primaries[node] = self._client_of(_always(node), ADMIN_CONNECTIONS)
        return {f"{host}:{port}": self._primaries[host, port] for host, port in current}

    async def probes(self) -> Mapping[str, tuple[Redis, str]]:
        """Like `primaries`, each with a hash tag that it serves, such as `{17}`. Raises redis-py's errors.

        The clients have neither retry nor health check: redis-py would recurse if a password is missing.
        """
        await self._slots.refresh()
        for host, port in self._slots.primaries():
            self._primaries[host, port] = Redis.from_pool(Pool(host=host, port=port, **self._short))
        tags = self._slots.tags()
        return {
            f"{host}:{port}": (self._primaries[host, port], tags[host, port])
            for host, port in self._slots.primaries()
        }

    def unassigned(self) -> int:
        """Returns the number of slots without a primary when the map was last asked for."""
        return self._slots.unassigned()

    async def aclose(self) -> None:
        """Closes all connections."""
        clients: list[Redis] = [self._events, *self._clients.values(), *self._primaries.values()]
        await asyncio.gather(*(client.aclose(close_connection_pool=True) for client in clients))
        await self._watch.aclose()
        await self._slots.aclose()

    def _client_of(self, locate: Callable[[], Awaitable[Node]], connections: int) -> ArqRedis:
        options = {**self._options, "max_connections": connections}
        return ArqRedis(Pool(slots=self._slots, locate=locate, **options))

    async def _answering(self) -> Node:
        """Returns a node that has just answered."""
        await self._slots.refresh()
        assert self._slots.answered is not None
        return self._slots.answered


def _always(node: Node) -> Callable[[], Awaitable[Node]]:
    async def locate() -> Node:
        return node

    return locate
