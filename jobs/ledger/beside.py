"""Media beside a job's payload: taken out of its inputs before its submit, and read back after its claim.

1. `split` replaces large media by references (`jobs/media/values.py`), which have their digests.
2. `upload` writes the media to a key of their own, with a random name and a lifetime.
3. `submit.lua` renames that key to the job's and makes it permanent, in the step that accepts the job.
4. `read` returns media, and `fault` compares one with its reference.
5. The script that ends the job deletes the media with the payload, or keeps both as long as the record.

So media are part of exactly one accepted job, or gone within LIFETIME (docs/decisions/042).
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from jobs.errors import QueueUnavailable
from jobs.ledger import keys, pieces
from jobs.ledger.shard import Shard
from jobs.media.formats import PREFIX
from jobs.media.values import Medium, Stored, changed, digest, media_bytes
from jobs.store.lua import script

INLINE = 16 * 1024
"""Bytes up to which a medium stays in the payload."""

ALL_INLINE = 128 * 1024
"""Bytes of a job's media that stay in its payload, so that it can be read whole for its page."""

LIFETIME = 600_000
"""Milliseconds within which an upload is submitted, or gone."""

THREAD_BYTES = 256 * 1024
"""Bytes from which on a thread computes digests."""


class Upload(NamedTuple):
    """Media in Redis that belong to no job yet."""

    name: str
    bytes: int


class Split(NamedTuple):
    """A job's inputs without their large media, and these in the order of their references."""

    inputs: Any
    media: list[bytes]


async def split(inputs: Any) -> Split:
    """Takes the large media out of the inputs. The same inputs give the same references."""
    if media_bytes(inputs) < THREAD_BYTES:
        return _split(inputs)
    return await asyncio.to_thread(_split, inputs)


def _split(inputs: Any) -> Split:
    media: list[bytes] = []
    left = ALL_INLINE

    def reference(medium: Medium) -> Medium:
        nonlocal left
        if not isinstance(medium, bytes):
            return medium
        if len(medium) <= min(INLINE, left):
            left -= len(medium)
            return medium
        media.append(medium)
        return Stored(len(media) - 1, len(medium), digest(medium), medium[:PREFIX])

    return Split(changed(inputs, reference), media)


async def upload(shard: Shard, media: Sequence[bytes]) -> Upload:
    """Writes media to a new key. Raises QueueUnavailable."""
    name = secrets.token_hex(16)
    key = shard.key(keys.UPLOAD, name)
    await shard.run(script("upload"), upload=key, lifetime=LIFETIME)
    async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
        for number, medium in enumerate(media):
            for field, piece in pieces.split(str(number), medium):
                pipe.hset(key, field, piece)  # type: ignore[arg-type]
        await pipe.execute()
    return Upload(name, sum(map(len, media)))


async def discard(shard: Shard, unused: Upload) -> None:
    """Deletes an upload that no job has taken, unless Redis does not respond: then its lifetime ends."""
    with suppress(QueueUnavailable):
        async with shard.integrity.intact():
            await shard.redis.unlink(shard.key(keys.UPLOAD, unused.name))


async def read(shard: Shard, wanted: Mapping[str, Sequence[Stored]]) -> dict[str, list[bytes | None]]:
    """Returns the media of jobs, in one round trip; None for one that is gone.

    Raises QueueUnavailable, also if only some commands were refused: then no medium is gone.
    """
    async with shard.integrity.intact(), shard.redis.pipeline(transaction=False) as pipe:
        for job_id, references in wanted.items():
            names = [field for one in references for field in pieces.fields(str(one.index), one.size)]
            pipe.hmget(shard.key(keys.MEDIA, job_id), names)
        found = await pipe.execute(raise_on_error=False)
        for each in found:
            if isinstance(each, Exception) and not _is_foreign(each):
                raise each
    media: dict[str, list[bytes | None]] = {}
    for (job_id, references), each in zip(wanted.items(), found, strict=True):
        media[job_id] = _joined(references, each) if isinstance(each, list) else [None] * len(references)
    return media


def _joined(references: Sequence[Stored], found: Sequence[bytes | None]) -> list[bytes | None]:
    """Returns the media whose pieces were found, in the order of their references."""
    rest = iter(found)
    media: list[bytes | None] = []
    for one in references:
        parts = [next(rest) for _ in pieces.fields(str(one.index), one.size)]
        whole = [part for part in parts if part is not None]
        media.append(None if len(whole) < len(parts) else whole[0] if len(whole) == 1 else b"".join(whole))
    return media


def _is_foreign(error: Exception) -> bool:
    """Whether the key holds another program's data, which has none of the media."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def references(inputs: Any) -> list[Stored]:
    """Returns the references within inputs, in order."""
    found: list[Stored] = []
    changed(inputs, lambda medium: found.append(medium) if isinstance(medium, Stored) else None)
    return found


def fault(reference: Stored, medium: bytes | None) -> str:
    """Returns what is wrong with a medium that was read; empty if it is what was submitted."""
    if medium is None:
        return "its media are gone from Redis: they were deleted, or evicted for lack of memory"
    if len(medium) != reference.size or digest(medium) != reference.digest:
        return "its media in Redis are damaged: their digest has changed"
    return ""
