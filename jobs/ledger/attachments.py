"""Attachments: the media of a job's inputs and the files of its outputs, each read by itself.

`sees` is the owner whose jobs the caller may see, or None for all (`ownership.py`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from jobs.ledger import keys, pieces
from jobs.ledger.keys import Key
from jobs.ledger.reading import Reading
from jobs.ledger.shard import Shard
from jobs.ledger.views import UNREADABLE
from jobs.ledger.wire import decode_payload
from jobs.media.formats import PREFIX
from jobs.media.values import Stored
from jobs.store.lua import script

MAX_PAYLOAD = 1024 * 1024
"""Most bytes of a payload in which a medium is looked for. It is decoded for that, while other requests wait,
and is not counted in the memory budget. The media in it have at most an eighth of this."""


class Attachment(NamedTuple):
    """A medium or a file that is kept. Its content is read when it is wanted, because it may be large."""

    size: int
    shard: Shard
    job_id: str
    content: bytes | None
    """The content, if reading its place was reading it."""
    kind: Key
    name: str
    start: bytes = b""
    """The first bytes of a medium, which name its format."""

    async def read(self, start: int, end: int) -> bytes | None:
        """Returns the content from `start` to `end`; None if it is gone by now. Raises QueueUnavailable.

        Only the pieces that have it are read from Redis.
        """
        if self.content is not None:
            return self.content[start:end]
        first, last = start // pieces.PIECE, max(start, end - 1) // pieces.PIECE
        names = [pieces.field(self.name, number) for number in range(first, last + 1)]
        async with self.shard.integrity.intact():
            found: list[bytes | None] = await self.shard.redis.hmget(  # type: ignore[misc]
                self.shard.key(self.kind, self.job_id), names
            )
        known = [piece for piece in found if piece is not None]
        offset = start - first * pieces.PIECE
        part = b"".join(known)[offset : offset + end - start]
        return part if len(known) == len(names) and len(part) == end - start else None


class Attachments:
    """Finds attachments. Raises JobNotFound, JobGone and QueueUnavailable, as the reads of a job."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def file(self, job_id: str, name: str, *, sees: str | None) -> Attachment | None:
        """Returns a file of an output; None if there is none of that name."""
        shard = await self._reading.shard_of(job_id, sees=sees)
        key = shard.key(keys.FILES, job_id)
        async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
            pipe.hstrlen(key, name)
            pipe.hget(key, name + pieces.SIZE)
            first, announced = await pipe.execute()
        size = int(announced) if announced and announced.isdigit() else first
        return Attachment(size, shard, job_id, None, keys.FILES, name) if size else None

    async def medium(self, job_id: str, place: Sequence[str], *, sees: str | None) -> Attachment | None:
        """Returns a medium of the inputs; None if there is none at that place, or if it is not kept.

        None too for a job whose texts and values have more than MAX_PAYLOAD bytes.

        `place`: the index of the input, and within a record the name of the value, and within a list its
        index. An input that was not given in a list has the index 0.
        """
        shard = await self._reading.shard_of(job_id, sees=sees)
        key = shard.key(keys.JOB, job_id)
        payload = await shard.run(script("inputs"), payload=key, most_bytes=MAX_PAYLOAD)
        match _at(payload if isinstance(payload, bytes) else b"", place):
            case Stored(size=size, index=index, start=start):
                return Attachment(size, shard, job_id, None, keys.MEDIA, str(index), start)
            case bytes(content):
                return Attachment(len(content), shard, job_id, content, keys.MEDIA, "", content[:PREFIX])
        return None


def _at(payload: bytes, place: Sequence[str]) -> Any:
    """Returns what is at a place of a payload's inputs; None if there is no such place."""
    try:
        value: Any = decode_payload(payload).a[0]
        if not isinstance(value, list):
            value = [value]
        for step in place:
            value = value[_index(step)] if isinstance(value, list) else value[step]
    except (*UNREADABLE, IndexError, TypeError, msgspec.MsgspecError):
        return None
    return value


def _index(step: str) -> int:
    """Raises ValueError for anything but the digits of an index."""
    if not (step.isascii() and step.isdigit() and len(step) < 10):
        raise ValueError(step)
    return int(step)
