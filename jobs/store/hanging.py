"""Watch: ends commands that wait for a primary of a cluster that hangs and has lost its slots.

A server that is stopped, or whose machine loses its power, closes no connection. Its clients would wait for
the socket's timeout, although a replica has taken over long before. A command that is ended here fails as if
the connection was lost: it is sent again, to the new primary. It may have run before, as after a timeout.

A primary that only changed its role, or gave a slot away, answers each command that it has received. So a
connection is ended only if nothing was received from it for `EVERY` seconds.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from redis.exceptions import RedisError

from jobs.store.node import NodeConnection
from jobs.store.slots import SlotMap

EVERY = 1.0
"""Seconds between two looks; more than a blocking pop takes."""


class Watch:
    """Looks at all connections that are in use, once a second."""

    def __init__(self, slots: SlotMap, in_use: Callable[[], Iterable[tuple[int, NodeConnection]]]) -> None:
        """`in_use` returns the connected connections in use, each with the slot that it is for."""
        self._slots = slots
        self._in_use = in_use
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch, if it has not begun yet."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Ends."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        before: dict[NodeConnection, int] = {}
        while True:
            await asyncio.sleep(EVERY)
            now = {connection: connection.answers for _, connection in self._in_use()}
            if hanging := {one for one, answers in now.items() if before.get(one) == answers}:
                with suppress(RedisError, OSError):
                    await self._slots.refresh()
                for slot, connection in list(self._in_use()):
                    unanswered = connection in hanging and connection.answers == now[connection]
                    if unanswered and self._slots.owner(slot) not in (None, connection.node):
                        connection.abort()
            before = now
