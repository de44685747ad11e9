"""The connection to Redis: arq's client on a pool with timeouts and a retry, which arq's own pool lacks.

`jobs/store/sentinel.py` finds the primary if the address names sentinels, `jobs/store/cluster.py` the primary
of each slot if it names a cluster.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import structlog
from arq.connections import ArqRedis
from redis.asyncio import Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.errors import ConfigurationError, QueueDamaged, QueueUnavailable, WritesRefused
from jobs.settings import Settings
from jobs.store import cluster, requirements, sentinel
from jobs.store.pool import Pool
from jobs.store.slots import NotACluster

log = structlog.get_logger(__name__)

SOCKET_TIMEOUT = 5.0
"""Seconds without an answer after which a connection counts as dead; much longer than any blocking pop."""

CONNECT_TIMEOUT = 2.0
"""Most seconds to establish a connection."""

TIMEOUTS: dict[str, Any] = {"socket_timeout": SOCKET_TIMEOUT, "socket_connect_timeout": CONNECT_TIMEOUT}

INVALID_ADDRESS = (
    "BATCHLINE_REDIS_URL must have the form redis://[[user]:password@]host:port/db (or rediss://),"
    " unix:///path, redis+sentinel://[user:password@]host:port[,host:port...]/service[/db]"
    " or redis+cluster://[user:password@]host:port[,host:port...]/"
)
"""The only message for a wrong address: the address itself may contain a password."""

NEEDS_ONE_SERVER = "this program works with one server or Sentinel, not with redis+cluster://"

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError)

DENIED_IN_SCRIPT = ("ACL failure in script", "can't run this command or subcommand")
"""Error texts for a command that a script may not run; the second is from Redis 6.2 and 7.0."""

FOREIGN_DATA = ("WRONGTYPE", "value is not an integer")
"""Error texts if another program wrote to the key, also inside a script."""


def connect(settings: Settings, *, connections: int = 64) -> ArqRedis:
    """Returns a client of one server, or of the primary that sentinels name, which has not connected yet.

    Raises ConfigurationError for an invalid address, and for a cluster's: see `open_store`.
    """
    url = settings.redis_url
    options = pool_options(url, connections)
    try:
        _refuse_fragment(url)
        if cluster.is_cluster_url(url):
            cluster.address(url)
            raise ConfigurationError(NEEDS_ONE_SERVER)
        if sentinel.is_sentinel_url(url):
            pool: Pool = sentinel.pool(url, TIMEOUTS, **options)
        else:
            pool = Pool.from_url(url, **options)
    except ValueError:
        raise ConfigurationError(INVALID_ADDRESS) from None
    return ArqRedis(pool)


def connect_cluster(settings: Settings, *, connections: int) -> cluster.Cluster:
    """Returns the store of a cluster, which has not connected yet. Raises ConfigurationError.

    `connections` is the most for each hash tag.
    """
    url = settings.redis_url
    try:
        _refuse_fragment(url)
        return cluster.Cluster(url, pool_options(url, connections), TIMEOUTS)
    except ValueError:
        raise ConfigurationError(INVALID_ADDRESS) from None


def pool_options(url: str, connections: int) -> dict[str, Any]:
    """Returns redis-py's options for a pool."""
    options: dict[str, Any] = {
        **TIMEOUTS,
        "max_connections": connections,
        "timeout": SOCKET_TIMEOUT,
        # no health checks: redis-py 5.3 pings within the start of a new connection, whose retry starts the
        # connection again. With a server that takes connections and does not answer, one call took 9 minutes
        "health_check_interval": 0,
        # one retry only, because the caller decides when to give up. Re-running a script is safe; jobs of a
        # claim whose answer was lost return to the queue when the lease ends, without a charged attempt
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), retries=1),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
    }
    if not url.startswith("unix:"):
        options |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive()}
    return options


def _keepalive() -> dict[int, int]:
    """Returns socket options that detect a lost peer within 15 s, as far as the platform has them."""
    options = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
    return {getattr(socket, name): value for name, value in options.items() if hasattr(socket, name)}


async def check(settings: Settings) -> None:
    """Checks that every primary can hold the queue. Raises ConfigurationError if one cannot.

    Logs once what could not be checked. A primary of a cluster that does not answer is logged, not refused:
    the other shards can work.
    """
    _refuse_options(settings)
    if cluster.is_cluster_url(settings.redis_url):
        findings = await _check_cluster(settings)
    else:
        where = _redacted(settings)
        async with _refusals(where), await _probe(settings.redis_url) as probe:
            found = await requirements.of_server(probe, settings.durable_submit, clustered=False)
        findings = {where: found}
    for where, found in findings.items():
        if found.fault:
            raise ConfigurationError(f"Redis at {where} {found.fault}")
    unreadable = {name: value for found in findings.values() for name, value in found.unreadable.items()}
    if unreadable:
        settings_needed = " and ".join(f"{name} to {value}" for name, value in unreadable.items())
        log.warning(f"Redis's configuration cannot be read by this user: set {settings_needed}")
    if any(found.full_coverage for found in findings.values()):
        log.warning(
            "a node that is lost without a replica will stop all shards:"
            f" set {requirements.COVERAGE} to no on every node"
        )


def _refuse_options(settings: Settings) -> None:
    """Raises ConfigurationError for options in the address that redis-py or its TLS context refuses."""
    if cluster.is_cluster_url(settings.redis_url):
        pool = connect_cluster(settings, connections=1).events.connection_pool
    else:
        pool = connect(settings).connection_pool
    try:
        connection = pool.make_connection()  # type: ignore[no-untyped-call]  # does not connect
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
    except (TypeError, RedisError):
        raise ConfigurationError(INVALID_ADDRESS) from None
    except OSError as error:
        raise ConfigurationError(
            f"a file that a TLS option in BATCHLINE_REDIS_URL names cannot be loaded: {error}"
        ) from None


async def _check_cluster(settings: Settings) -> dict[str, requirements.Findings]:
    """Returns the findings for each primary that answers."""
    store = connect_cluster(settings, connections=1)
    where = _redacted(settings)
    try:
        async with _refusals(where):
            nodes = await store.probes()
        if store.unassigned():
            raise ConfigurationError(f"the cluster at {where} has slots without a primary: assign all slots")
        names = list(nodes)
        found = await asyncio.gather(
            *(_check_node(node, nodes[node], settings) for node in names), return_exceptions=True
        )
    finally:
        await store.aclose()
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, _Unreachable):
            raise each
    answers = {n: f for n, f in zip(names, found, strict=True) if isinstance(f, requirements.Findings)}
    faults = [each for each in found if isinstance(each, _Unreachable)]
    if not answers:
        raise faults[0]
    for fault in faults:
        log.warning(f"{fault}; its shards have to wait")
    return answers


class _Unreachable(ConfigurationError):
    """The server does not answer."""


async def _check_node(where: str, node: Redis, settings: Settings) -> requirements.Findings:
    async with _refusals(where):
        if await requirements.is_down(node):
            raise ConfigurationError(f"Redis at {where} reports its cluster as down (cluster_state:fail)")
        return await requirements.of_server(node, settings.durable_submit, clustered=True)


@asynccontextmanager
async def _refusals(where: str) -> AsyncIterator[None]:
    """Converts the errors of a check to ConfigurationError."""
    try:
        yield
    except ValueError:
        raise ConfigurationError(INVALID_ADDRESS) from None
    except AuthenticationError as error:
        raise ConfigurationError(
            f"Redis at {where} rejects the password: {error}"
            " (BATCHLINE_REDIS_URL=redis://:PASSWORD@HOST:PORT/0)"
        ) from None
    except NotACluster:
        raise ConfigurationError(
            f"Redis at {where} is not a node of a cluster: use redis:// instead of redis+cluster://"
        ) from None
    except UNREACHABLE as error:
        raise _Unreachable(f"Redis at {where} cannot be reached: {error}") from None
    except RedisError as error:
        raise ConfigurationError(f"Redis at {where} rejects a command: {error}") from None


def _refuse_fragment(url: str) -> None:
    """Raises ValueError for a `#`: an unescaped one in a password would print a part of it in messages."""
    if "#" in url:
        raise ValueError("the address contains an unescaped #")


async def _probe(url: str) -> Redis:
    """Returns a client without health check and retry: redis-py would recurse if a password is missing."""
    _refuse_fragment(url)
    if sentinel.is_sentinel_url(url):
        return await sentinel.primary(url, TIMEOUTS)
    client: Redis = Redis.from_url(url, **TIMEOUTS)
    return client


def _redacted(settings: Settings) -> str:
    """Returns the address without passwords."""
    parts = urlsplit(settings.redis_url)
    return f"{parts.netloc}{parts.path}".rpartition("@")[2]


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks that use the connection repeatedly until they have ended.

    redis-py loses a cancellation that arrives while it takes a connection from the pool.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)


@asynccontextmanager
async def availability() -> AsyncIterator[None]:
    """Converts redis-py's errors for an unreachable, full or read-only server to QueueUnavailable."""
    try:
        yield
    except UNREACHABLE as error:
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
    except (OutOfMemoryError, ReadOnlyError) as error:  # redis-py removes OOM and READONLY from the messages
        raise WritesRefused(f"Redis does not accept writes: {error}") from error
    except ResponseError as error:
        text = str(error)
        if text.startswith(("BUSY", *cluster.CANNOT_SERVE)):
            raise QueueUnavailable(f"Redis cannot be used now: {error}") from error
        if text.startswith(("MISCONF", "NOREPLICAS")):
            raise WritesRefused(f"Redis does not accept writes: {error}") from error
        # a permission was removed: no job may fail because of that
        if isinstance(error, NoPermissionError) or any(mark in text for mark in DENIED_IN_SCRIPT):
            raise QueueUnavailable(f"Redis rejects a command: {error}") from error
        if any(mark in text for mark in FOREIGN_DATA):
            raise QueueDamaged(text) from error
        raise
    except (ClusterError, RedisClusterException) as error:
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
    except RuntimeError as error:
        if "the handler is closed" not in str(error):  # from uvloop, if a connection was reset before a write
            raise
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
