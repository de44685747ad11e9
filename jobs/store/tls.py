"""TLS connections that share their context: to load the system's trusted certificates takes 20 ms.

redis-py makes a context for each connection, on the event loop. After a failover many connections are made at
once.
"""

import time
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import RedisSSLContext

from jobs.store.names import NamedConnection

LIFETIME = 60.0
"""Seconds after which new connections load the files again, because certificates are renewed."""

_contexts: dict[tuple[Any, ...], tuple[RedisSSLContext, float]] = {}


def shared(context: RedisSSLContext) -> RedisSSLContext:
    """Returns a context with the same options, which connections of the last minute use too."""
    options = tuple(getattr(context, name) for name in RedisSSLContext.__slots__ if name != "context")
    known, until = _contexts.get(options, (context, 0.0))
    now = time.monotonic()
    if now < until:
        return known
    _contexts[options] = context, now + LIFETIME
    return context


class TLSConnection(NamedConnection, SSLConnection):
    """The same with TLS and a shared context."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context = shared(self.ssl_context)
