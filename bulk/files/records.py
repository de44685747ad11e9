"""The records of files in Redis, on the first shard."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from bulk.files import keys
from bulk.files.file import File, Purpose
from jobs.errors import FileNotFound, InvalidRequest
from jobs.ledger import ownership
from jobs.ledger.shard import Shard
from jobs.store import lua

script = partial(lua.script, room="bulk.files")

Order = Literal["asc", "desc"]

FIELDS = ["owner", "purpose", "bytes", "created", "expires", "filename"]

CHUNK = 500
"""Files that one call of a script returns or deletes. It blocks Redis for about 1 ms."""

EXISTENCE = 1_000


class Page(NamedTuple):
    """Files of a list."""

    files: list[File]
    has_more: bool


class Records:
    """The records of all owners' files. Its methods raise QueueUnavailable."""

    def __init__(self, first: Shard) -> None:
        self._shard = first
        self.arguments: dict[str, Any] = {
            "files_expiry": first.key(keys.EXPIRY),
            "files_stored": first.key(keys.STORED),
            "file_records": first.key(keys.FILE),
            "file_lists": first.key(keys.FILES_OF),
        }
        """The keys and arguments that `keep.lua` and `drop.lua` declare."""

    async def get(self, file_id: str, *, sees: str | None) -> File:
        """Returns a record. Raises FileNotFound, also if its lifetime is over."""
        async with self._shard.integrity.intact(), self._shard.redis.pipeline(transaction=False) as pipe:
            pipe.hmget(self._shard.key(keys.FILE, file_id), FIELDS)
            pipe.time()
            fields, (seconds, microseconds) = await pipe.execute()
        now = seconds * 1000 + microseconds // 1000
        file = None if fields[0] is None else _file(file_id, fields)
        if file is None or (sees is not None and file.owner != sees):
            raise not_found(file_id)
        if file.expires is not None and file.expires <= now:
            raise not_found(file_id)
        return file

    async def page(
        self, limit: int, after: str | None, order: Order, purpose: str | None, *, sees: str | None
    ) -> Page:
        """Returns the next files of a list. Raises InvalidRequest if `after` is not in it."""
        name = f"{'*' if sees is None else sees}:{purpose or ''}"
        given = {"list": self._shard.key(keys.FILES_OF, name), "order": order}
        found: list[File] = []
        created: int | str = ""
        while True:
            kind, *rest = await self._run(
                "page", **given, after=after or "", after_created=created, most=min(limit - len(found), CHUNK)
            )
            if kind == b"unknown":
                raise InvalidRequest(f"after: the list has no file with the id {after}", pointer="/after")
            more, fields = rest
            size = len(FIELDS) + 1
            found += [
                _file(fields[at].decode(), fields[at + 1 : at + size]) for at in range(0, len(fields), size)
            ]
            if not more or len(found) >= limit:
                return Page(found, bool(more))
            after, created = found[-1].id, found[-1].created

    async def delete(self, file_id: str, *, sees: str | None) -> File:
        """Deletes a record and returns it. Raises FileNotFound."""
        fields = await self._run("delete", id=file_id, sees=ownership.argument(sees))
        if fields is None:
            raise not_found(file_id)
        return _file(file_id, fields)

    async def expire(self) -> list[str]:
        """Deletes the records of some files whose lifetime is over, at most CHUNK. Returns their ids."""
        return [each.decode() for each in await self._run("expire", most=CHUNK)]

    async def missing(self, ids: Sequence[str]) -> list[str]:
        """Returns those of the ids that have no record."""
        lost = []
        for first in range(0, len(ids), EXISTENCE):
            some = ids[first : first + EXISTENCE]
            async with self._shard.integrity.intact(), self._shard.redis.pipeline(transaction=False) as pipe:
                for file_id in some:
                    pipe.exists(self._shard.key(keys.FILE, file_id))
                answers = await pipe.execute()
            lost += [file_id for file_id, exists in zip(some, answers, strict=True) if not exists]
        return lost

    async def turn(self, work: str, seconds: float) -> bool:
        """Returns whether no process began this work within that time, and notes that this one begins it."""
        async with self._shard.integrity.intact():
            begun = await self._shard.redis.set(
                self._shard.key(keys.CLEANED, work), b"1", nx=True, px=int(seconds * 1000)
            )
        return begun is not None

    async def _run(self, name: str, **given: Any) -> Any:
        return await self._shard.run(script(name), **self.arguments, **given)


def not_found(file_id: str) -> FileNotFound:
    """Returns the error for an id that names no file of the caller."""
    return FileNotFound(f"there is no file with the id {file_id[:100]}")


def _file(file_id: str, fields: Sequence[bytes]) -> File:
    owner, purpose, size, created, expires, filename = (field.decode() for field in fields)
    return File(
        id=file_id,
        owner=owner,
        purpose=cast(Purpose, purpose),
        bytes=int(size),
        created=int(created),
        expires=int(expires) if expires else None,
        filename=filename,
    )
