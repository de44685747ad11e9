"""Pool: redis-py's blocking pool of connections, in half the time for each command.

redis-py's own takes a lock twice and sets a timer even where connections are idle, and then reads from one
with a timeout of 0 to see whether it is fit: more than it costs to send the command and to read its answer.
"""

from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, ConnectionPool


class Pool(BlockingConnectionPool):
    """Waits for a connection only where none is idle, or others wait already."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._waiting = 0

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """A connection that is ready for a command. Raises redis-py's ConnectionError."""
        if self._waiting or not self.can_get_connection():
            self._waiting += 1
            try:
                return await super().get_connection()  # type: ignore[no-any-return]
            finally:
                self._waiting -= 1
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        if self._waiting:
            await super().release(connection)
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
