"""Pool: redis-py's bounded connection pool, but fair and with half the time per command.

redis-py's own pool takes a lock twice and sets a timer even if connections are idle, and then reads with a
timeout of 0 to check a connection. That costs more than sending the command and reading its answer. If all
connections are in use, a new caller can overtake waiting callers.
"""

import asyncio
from collections import deque
from typing import Any

from redis.asyncio import BlockingConnectionPool, SSLConnection
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.store.names import NamedConnection
from jobs.store.tls import TLSConnection

OURS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: NamedConnection,
    SSLConnection: TLSConnection,
}
"""Connection of redis-py -> the one that is used in its place."""


class Pool(BlockingConnectionPool):
    """A pool in which a released connection goes to the caller that has waited longest."""

    def __init__(self, **options: Any) -> None:
        chosen = options.pop("connection_class", Connection)
        super().__init__(connection_class=OURS.get(chosen, chosen), **options)
        self._waiters: deque[asyncio.Future[AbstractConnection]] = deque()

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """Returns a connection that is ready for a command. Raises redis-py's ConnectionError."""
        connection: AbstractConnection
        if self.can_get_connection():  # while callers wait, none is idle: `release` passes them on
            connection = self.get_available_connection()  # type: ignore[no-untyped-call]
        else:
            connection = await self._wait()
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def _wait(self) -> AbstractConnection:
        waiter: asyncio.Future[AbstractConnection] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self.timeout):
                return await asyncio.shield(waiter)
        except BaseException as error:
            if waiter.done():  # it received one at the same moment
                await self.release(waiter.result())
            else:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                raise RedisConnectionError("No connection available.") from None
            raise

    async def release(self, connection: AbstractConnection) -> None:
        if self._waiters:
            self._waiters.popleft().set_result(connection)  # the connection stays in use
        else:
            await ConnectionPool.release(self, connection)

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connects if needed; reconnects if the server closed the connection or sent unexpected data."""
        if connection.is_connected and not _is_usable(connection):
            await connection.disconnect()
        await connection.connect()  # type: ignore[no-untyped-call]


def _is_usable(connection: Any) -> bool:
    """Returns whether nothing was received since the last answer, as far as the event loop has read.

    If the server's close was not read yet, the command fails and is sent again.
    """
    stream = connection._reader
    broken = stream.at_eof() or stream.exception() is not None
    return not (broken or stream._buffer or connection._parser._reader.has_data())
