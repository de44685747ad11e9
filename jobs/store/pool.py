"""Pool: redis-py's bounded pool of connections, in half the time for each command, and in turn.

redis-py's own takes a lock twice and sets a timer even where connections are idle, and then reads from one
with a timeout of 0 to see whether it is fit: more than it costs to send the command and to read its answer.
Where all are taken, whoever asks at the right moment passes those who wait.
"""

import asyncio
from collections import deque
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError


class Pool(BlockingConnectionPool):
    """A connection that is given back goes to who has waited longest."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._waiters: deque[asyncio.Future[AbstractConnection]] = deque()

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """A connection that is ready for a command. Raises redis-py's ConnectionError."""
        connection: AbstractConnection
        if self.can_get_connection():  # while somebody waits none is idle: `release` hands them on
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
            if waiter.done():  # at the same moment it was given one
                await self.release(waiter.result())
            else:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                raise RedisConnectionError("No connection available.") from None
            raise

    async def release(self, connection: AbstractConnection) -> None:
        if self._waiters:
            self._waiters.popleft().set_result(connection)  # and so it stays in use
        else:
            await ConnectionPool.release(self, connection)

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connects it unless it is; anew, if its server hung up or said what nobody asked for."""
        if connection.is_connected and not _fit(connection):
            await connection.disconnect()
        await connection.connect()  # type: ignore[no-untyped-call]


def _fit(connection: Any) -> bool:
    """Whether nothing was received since the last answer, by what the loop has seen so far.

    A server that has hung up unseen is found out by the command, which is sent again.
    """
    stream = connection._reader
    broken = stream.at_eof() or stream.exception() is not None
    return not (broken or stream._buffer or connection._parser._reader.has_data())
