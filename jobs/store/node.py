"""A connection to whichever node serves a slot, or answers: it looks up its node whenever it connects."""

from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.store.names import NamedConnection
from jobs.store.slots import Node, SlotMap
from jobs.store.tls import TLSConnection

CANNOT_SERVE = ("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "UNBLOCKED")
"""Beginnings of a node's errors if it does not serve the slot, or not now."""


class NodeConnection(NamedConnection):
    """A connection that looks up its node when it connects, and reports to the map what it meets."""

    def __init__(self, *, slots: SlotMap, locate: Callable[[], Awaitable[Node]], **options: Any) -> None:
        self._slots = slots
        self._locate = locate
        self.answers = 0
        """Number of answers received."""
        self.aborted = False
        """Whether `abort` ended the connection, until it connects again."""
        super().__init__(**options)

    @property
    def node(self) -> Node:
        return self.host, self.port

    async def _connect(self) -> None:
        self.aborted = False
        self.host, self.port = await self._locate()
        try:
            await super()._connect()
            return
        except OSError:
            self._slots.suspect(self.node)
            found = await self._locate()
            if found == self.node:
                raise
        # another primary has taken over since the map was asked for
        self.host, self.port = found
        await super()._connect()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            answer = await super().read_response(*args, **options)
            self.answers += 1
            return answer
        except (RedisConnectionError, RedisTimeoutError):
            self._slots.suspect(self.node)
            raise
        except ResponseError as error:
            self.answers += 1
            text = str(error)
            if not (isinstance(error, ReadOnlyError) or text.startswith(CANNOT_SERVE)):
                raise
            self._learn(text)
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"{self._host_error()} answered {text}") from error

    def abort(self) -> None:
        """Ends the connection without waiting for the server: a command that waits fails."""
        self.aborted = True
        if self._writer:
            self._writer.transport.abort()

    def _learn(self, text: str) -> None:
        if text.startswith("MOVED "):
            _, slot, target = text.split()[:3]
            host, _, port = target.rpartition(":")
            if host != "?" and (found := (host or self.host, int(port))) != self.node:
                self._slots.moved(int(slot), found)
                return
        self._slots.suspect(self.node)


class TLSNodeConnection(NodeConnection, TLSConnection):
    """The same with TLS."""


ROUTED = {NamedConnection: NodeConnection, TLSConnection: TLSNodeConnection}
"""Class of an address's connections -> the one that looks up its node."""
