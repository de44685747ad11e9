"""A client for tests that were written for one server: each command goes to the primary of its key."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from jobs.ledger import keys
from jobs.store.store import Store
from tests import redis_keys

EVERYWHERE = {"KEYS", "INFO", "SCRIPT FLUSH", "TIME"}
"""Commands without a key, which every primary gets."""

FIRST = keys.tag(0, clustered=True)

MANY_KEYS = {"DEL", "EXISTS"}
"""Commands whose answer is a sum over their keys."""


class Routed(Redis):
    """Stands in for the client of one server, and is the cluster's store for what needs one."""

    clustered = True

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def client(self, tag: str) -> Any:  # type: ignore[override]
        return self._store.client(tag) if tag else self

    @property
    def events(self) -> ArqRedis:
        return self._store.events

    async def primaries(self) -> Mapping[str, Redis]:
        return await self._store.primaries()

    def pubsub(self, **options: Any) -> PubSub:
        return self.events.pubsub(**options)

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        name, *arguments = command
        if name in EVERYWHERE:
            clients: list[Any] = list((await self.primaries()).values())
            answers = await asyncio.gather(*(client.execute_command(*command) for client in clients))
            return _merged(answers)
        if name in MANY_KEYS:
            return sum([await self._send(name, key) for key in arguments])
        return await self._send(name, *arguments, **options)

    async def _send(self, name: str, key: str | bytes, *arguments: Any, **options: Any) -> Any:
        tagged = _tagged(key.decode() if isinstance(key, bytes) else key)
        tag = tagged[tagged.index("{") : tagged.index("}") + 1]
        client: Any = self._store.client(tag)
        return await client.execute_command(name, tagged, *arguments, **options)


def _tagged(key: str) -> str:
    """A key with its tag: one without it is of the first shard, which has no tag on one server."""
    if "{" in key:
        return key
    kind = next(kind for kind in redis_keys.ALL if fnmatchcase(key, kind.pattern))
    return kind.of(key.removeprefix(kind.of()), FIRST)


def _merged(answers: list[Any]) -> Any:
    """Lists one after another, and the sums of figures."""
    first = answers[0]
    if isinstance(first, list):
        return [each for answer in answers for each in answer]
    if isinstance(first, dict):
        sums: Counter[str] = Counter()
        for answer in answers:
            sums.update({name: value for name, value in answer.items() if isinstance(value, int)})
        return {**first, **sums}
    return first
