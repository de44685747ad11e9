"""The connection to Redis: arq's client on a pool with timeouts and a retry, which arq's own pool lacks.

`jobs/store/sentinel.py` finds the primary if the address names sentinels, `jobs/store/cluster.py` the primary
of each slot if it names a cluster.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from arq.connections import ArqRedis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.errors import ConfigurationError, QueueDamaged, QueueUnavailable, WritesRefused
from jobs.settings import Settings
from jobs.store import cluster, sentinel
from jobs.store.node import CANNOT_SERVE
from jobs.store.pool import Pool

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
        refuse_fragment(url)
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
        refuse_fragment(url)
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


def refuse_fragment(url: str) -> None:
    """Raises ValueError for a `#`: an unescaped one in a password would print a part of it in messages."""
    if "#" in url:
        raise ValueError("the address contains an unescaped #")


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
        if text.startswith(("BUSY", *CANNOT_SERVE)):
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
