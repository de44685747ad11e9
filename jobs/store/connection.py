"""The connection to Redis: arq's client on a pool with timeouts and a retry; arq's own has none.

How the primary is found where the address names sentinels is in `jobs/store/sentinel.py`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.errors import ConfigurationError, QueueDamaged, QueueUnavailable
from jobs.settings import Settings
from jobs.store import durability, sentinel
from jobs.store.pool import Pool

SOCKET_TIMEOUT = 5.0
"""Seconds without an answer after which a connection counts as dead; well above any blocking pop."""

CONNECT_TIMEOUT = 2.0
"""Seconds that a connection may take to come about."""

TIMEOUTS: dict[str, Any] = {"socket_timeout": SOCKET_TIMEOUT, "socket_connect_timeout": CONNECT_TIMEOUT}

ADDRESS = (
    "BATCHLINE_REDIS_URL must read redis://[[user]:password@]host:port/db (or rediss://, or unix:///path),"
    " or redis+sentinel://[user:password@]host:port[,host:port...]/service[/db]"
)
"""All that is said of a wrong address: what stands in it may be a password."""

SCRIPT = "return 1"
"""Whether the user may run scripts, by text and by digest, is found out with this one."""

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError)

DENIED_IN_A_SCRIPT = ("ACL failure in script", "can't run this command or subcommand")
"""What servers say of a command that a script must not run; the second is Redis 6.2's and 7.0's."""

ANOTHERS_DATA = ("WRONGTYPE", "value is not an integer")
"""What servers say when another program wrote to the key, also from inside a script."""


def connect(settings: Settings, *, connections: int = 64) -> ArqRedis:
    """A client that has not connected yet. Raises ConfigurationError for an address that is none."""
    options: dict[str, Any] = {
        **TIMEOUTS,
        "max_connections": connections,
        "timeout": SOCKET_TIMEOUT,
        "health_check_interval": 15,
        # one retry only, for the caller knows better when to give up. Sent twice, a script does no harm;
        # what a claim leased whose answer was lost comes back when the lease runs out, uncharged
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), retries=1),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
    }
    url = settings.redis_url
    if not url.startswith("unix:"):
        options |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive()}
    try:
        _refuse_fragment(url)
        if sentinel.named(url):
            pool: Pool = sentinel.pool(url, TIMEOUTS, **options)
        else:
            pool = Pool.from_url(url, **options)
    except ValueError:
        raise ConfigurationError(ADDRESS) from None
    return ArqRedis(pool)


def _keepalive() -> dict[int, int]:
    """Finds a peer that vanished within 15 s, where the platform can be told so."""
    wanted = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


async def check(settings: Settings) -> None:
    """Asks the server whether it can hold the queue. Raises ConfigurationError when it cannot."""
    try:
        async with await _probe(settings.redis_url) as probe:
            await probe.ping()
            await probe.eval(SCRIPT, 0)  # type: ignore[misc]
            await probe.evalsha(probe.register_script(SCRIPT).sha, 0)  # type: ignore[misc]
            policy = (await probe.info("memory")).get("maxmemory_policy", "noeviction")
            fault = await durability.fault(probe, settings.durable_submit)
    except ValueError:
        raise ConfigurationError(ADDRESS) from None
    except AuthenticationError as error:
        raise ConfigurationError(
            f"Redis at {_redacted(settings)} refuses the password: {error}"
            " (BATCHLINE_REDIS_URL=redis://:PASSWORD@HOST:PORT/0)"
        ) from None
    except UNREACHABLE as error:
        raise ConfigurationError(f"Redis at {_redacted(settings)} cannot be reached: {error}") from None
    except RedisError as error:
        raise ConfigurationError(f"Redis at {_redacted(settings)} refuses: {error}") from None
    if policy != "noeviction":
        raise ConfigurationError(
            f"Redis at {_redacted(settings)} evicts keys ({policy}) and would lose jobs:"
            " set maxmemory-policy to noeviction"
        )
    if fault:
        raise ConfigurationError(f"Redis at {_redacted(settings)} {fault}")


def _refuse_fragment(url: str) -> None:
    """Whoever has a `#` in a password and does not write it as %23 must not be told half of it."""
    if "#" in url:
        raise ValueError("a fragment")


async def _probe(url: str) -> Redis:
    """A plain client: with a health check and a retry, a missing password makes redis-py recurse."""
    _refuse_fragment(url)
    if sentinel.named(url):
        return await sentinel.primary(url, TIMEOUTS)
    client: Redis = Redis.from_url(url, **TIMEOUTS)
    return client


def _redacted(settings: Settings) -> str:
    """The address without its passwords."""
    parts = urlsplit(settings.redis_url)
    return f"{parts.netloc}{parts.path}".rpartition("@")[2]


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks that use the connection until they hear it, and waits for their end.

    redis-py loses a cancellation that comes while it takes a connection from the pool.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)


@asynccontextmanager
async def availability() -> AsyncIterator[None]:
    """Turns what redis-py raises when the server is away, full or read-only into QueueUnavailable."""
    try:
        yield
    except UNREACHABLE as error:
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
    except (OutOfMemoryError, ReadOnlyError) as error:  # redis-py takes OOM and READONLY off their messages
        raise QueueUnavailable(f"Redis cannot take writes: {error}") from error
    except ResponseError as error:
        told = str(error)
        if told.startswith(("MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY", "UNBLOCKED")):
            raise QueueUnavailable(f"Redis cannot take writes: {error}") from error
        # somebody took a permission away: no job may fail for that
        if isinstance(error, NoPermissionError) or any(mark in told for mark in DENIED_IN_A_SCRIPT):
            raise QueueUnavailable(f"Redis refuses: {error}") from error
        if any(mark in told for mark in ANOTHERS_DATA):
            raise QueueDamaged(told) from error
        raise
    except RuntimeError as error:
        if "the handler is closed" not in str(error):  # uvloop, of a connection that was reset before a write
            raise
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
