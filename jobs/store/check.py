"""The check at the start of each process: whether the servers of the address can hold the queue.

`requirements.py` checks one server. Here is which servers are checked, and how faults are reported.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis, SSLConnection
from redis.exceptions import AuthenticationError, RedisError

from jobs.errors import ConfigurationError
from jobs.settings import Settings
from jobs.store import cluster, requirements, sentinel
from jobs.store.connection import (
    INVALID_ADDRESS,
    TIMEOUTS,
    UNREACHABLE,
    connect,
    connect_cluster,
    refuse_fragment,
)
from jobs.store.pool import Pool
from jobs.store.slots import NotACluster

log = structlog.get_logger(__name__)


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
            found = await requirements.of_server(probe, settings.durable_submit)
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
            *(_check_node(name, *nodes[name], settings) for name in names), return_exceptions=True
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


async def _check_node(where: str, node: Redis, tag: str, settings: Settings) -> requirements.Findings:
    async with _refusals(where):
        if await requirements.is_down(node):
            raise ConfigurationError(f"Redis at {where} reports its cluster as down (cluster_state:fail)")
        return await requirements.of_server(node, settings.durable_submit, tag=tag)


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
        if str(error).startswith("MOVED "):
            raise _Unreachable(f"Redis at {where} has just lost a slot to another primary") from None
        raise ConfigurationError(f"Redis at {where} rejects a command: {error}") from None


async def _probe(url: str) -> Redis:
    """Returns a client without health check and retry: redis-py would recurse if a password is missing."""
    refuse_fragment(url)
    if sentinel.is_sentinel_url(url):
        return await sentinel.primary(url, TIMEOUTS)
    return Redis.from_pool(Pool.from_url(url, **TIMEOUTS))


def _redacted(settings: Settings) -> str:
    """Returns the address without passwords."""
    parts = urlsplit(settings.redis_url)
    return f"{parts.netloc}{parts.path}".rpartition("@")[2]
