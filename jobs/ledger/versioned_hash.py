"""VersionedHash: records in one hash, with a version that each change replaces. Who has a copy polls it."""

from jobs.ledger.keys import Key
from jobs.ledger.shard import Shard

VERSION = "version"
"""The field of the version. It is random, not a counter: a failover may lose a change, and a counter could
then reach the same value with other records."""


class VersionedHash:
    """Reads such a hash. Its methods raise QueueUnavailable."""

    def __init__(self, shard: Shard, kind: Key) -> None:
        self._shard = shard
        self._name = shard.key(kind)
        self._also = {self._name: kind}

    async def version(self) -> tuple[str, int]:
        """Returns the version ("" if there never was a record), and the server's time in Unix ms."""
        async with (
            self._shard.integrity.intact(self._also),
            self._shard.redis.pipeline(transaction=False) as pipe,
        ):
            pipe.hget(self._name, VERSION)
            pipe.time()
            version, time = await pipe.execute()
        return _text(version), _ms(*time)

    async def records(self) -> tuple[str, int, dict[bytes, bytes]]:
        """Returns the version, the server's time, and all records by their fields."""
        async with (
            self._shard.integrity.intact(self._also),
            self._shard.redis.pipeline(transaction=False) as pipe,
        ):
            pipe.hgetall(self._name)
            pipe.time()
            stored, time = await pipe.execute()
        version = stored.pop(VERSION.encode(), b"")
        return _text(version), _ms(*time), stored


def _text(version: bytes | None) -> str:
    return (version or b"").decode(errors="replace")


def _ms(seconds: int, microseconds: int) -> int:
    return seconds * 1000 + microseconds // 1000
