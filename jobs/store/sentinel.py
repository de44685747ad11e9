"""Redis Sentinel: parses its address and connects to the current primary.

redis+sentinel://[user:password@]host:port[,host:port...]/service[/db][?sentinel_username=U&sentinel_password=P]
With rediss+sentinel:// the TLS options of `address.py` hold for servers and sentinels.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from redis.asyncio import Redis
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.exceptions import RedisError

from jobs.store import address
from jobs.store.names import NamedConnection
from jobs.store.pool import Pool
from jobs.store.tls import TLSConnection

SCHEMES = {"redis+sentinel": False, "rediss+sentinel": True}
"""Scheme -> whether connections to servers and sentinels use TLS."""

DEFAULT_PORT = 26379
"""Default port of a sentinel."""


def is_sentinel_url(url: str) -> bool:
    """Returns whether the URL is a sentinel address, valid or not."""
    return url.partition("://")[0] in SCHEMES


@dataclass(frozen=True)
class Address:
    """A parsed address: `server` and `sentinel` are redis-py's options for pools of connections to each."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    server: dict[str, Any]
    sentinel: dict[str, Any]


def parse(url: str) -> Address:
    """Parses an address. Raises ValueError if it is invalid; the text may contain a password."""
    parsed = address.parse(url, tls=SCHEMES[url.partition("://")[0]], default_port=DEFAULT_PORT)
    service, _, db = parsed.path.partition("/")
    if not service or not parsed.extra.keys() <= {"sentinel_username", "sentinel_password"}:
        raise ValueError(url)
    sentinel = {name.removeprefix("sentinel_"): value for name, value in parsed.extra.items()}
    server = {**parsed.server, "db": int(db or 0)}
    return Address(parsed.hosts, unquote(service), server, {**sentinel, **parsed.transport})


ANSWER_TIMEOUT = 1.0
"""Seconds to wait for each sentinel's answer; sentinels are asked one after another."""


class Sentinels:
    """The sentinels of one service."""

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        self._hosts = list(address.hosts)
        self._options = {**address.sentinel, **options}
        self._query: asyncio.Task[tuple[str, int]] | None = None

    async def discover_master(self, service: str) -> tuple[str, int]:
        """Returns the primary's host and port. Raises MasterNotFoundError, which is a ConnectionError.

        Concurrent callers share one query, because after a failover every connection asks at once.
        """
        if self._query is None or self._query.done():
            self._query = asyncio.create_task(self._find_primary(service))
            self._query.add_done_callback(lambda query: query.cancelled() or query.exception())
        return await asyncio.shield(self._query)

    async def _find_primary(self, service: str) -> tuple[str, int]:
        faults = []
        for host, port in list(self._hosts):
            try:
                async with (
                    asyncio.timeout(ANSWER_TIMEOUT),
                    Redis.from_pool(Pool(host=host, port=port, **self._options)) as sentinel,
                ):
                    state = (await sentinel.sentinel_masters()).get(service)  # type: ignore[no-untyped-call]
            except (RedisError, OSError, TimeoutError) as error:
                faults.append(f"{host}:{port} does not answer ({error})")
                continue
            if state is None:
                faults.append(f"{host}:{port} does not know the service")
            elif not state["is_master"] or state["is_sdown"] or state["is_odown"]:
                faults.append(f"{host}:{port} reports the primary as down")
            else:
                self._hosts.remove((host, port))
                self._hosts.insert(0, (host, port))  # ask a live one first next time
                return str(state["ip"]), int(state["port"])
        raise MasterNotFoundError(f"no sentinel knows a live primary of {service!r}: {', '.join(faults)}")


class PrimaryConnection(SentinelManagedConnection, NamedConnection):
    """A connection that asks the sentinels for the primary whenever it connects."""


class TLSPrimaryConnection(SentinelManagedSSLConnection, TLSConnection):
    """The same with TLS."""


PRIMARY = {NamedConnection: PrimaryConnection, TLSConnection: TLSPrimaryConnection}
"""Class of an address's connections -> the one that asks the sentinels."""


class PrimaryPool(SentinelConnectionPool, Pool):
    """A bounded pool that blocks when it is empty and asks the sentinels before it connects."""

    async def get_master_address(self) -> tuple[str, int]:
        address: tuple[str, int] = await self.sentinel_manager.discover_master(self.service_name)
        self.master_address = address
        return address

    async def ensure_connection(self, connection: Any) -> None:
        # redis-py closes all idle connections when the primary changes, even one that is just being taken
        if connection.is_connected and (connection.host, connection.port) != self.master_address:
            await connection.disconnect()
        await super().ensure_connection(connection)


def pool(url: str, sentinel_options: dict[str, Any], **options: Any) -> PrimaryPool:
    """Returns a pool of connections to the service's primary. Raises ValueError for an invalid address."""
    parsed = parse(url)
    sentinels = Sentinels(parsed, sentinel_options)
    connection_class = PRIMARY[parsed.server["connection_class"]]
    options = {**options, **parsed.server, "connection_class": connection_class}
    return PrimaryPool(parsed.service, sentinels, **options)  # type: ignore[no-untyped-call]


async def primary(url: str, options: dict[str, Any]) -> Redis:
    """Returns a plain client of the current primary. Raises ValueError or MasterNotFoundError."""
    parsed = parse(url)
    host, port = await Sentinels(parsed, options).discover_master(parsed.service)
    return Redis.from_pool(Pool(host=host, port=port, **options, **parsed.server))
