"""Large media in pieces: read back whole by the worker, and none of them if a piece is gone."""

import pytest
from arq.connections import ArqRedis

from jobs.ledger import beside, keys, pieces
from jobs.media.values import Stored, digest
from tests.jobs.ledger.test_media import LARGE, OTHER, with_media
from tests.ledger import JobQueue


def stored(index: int, medium: bytes) -> Stored:
    return Stored(index, len(medium), digest(medium), medium[:64])


async def test_a_large_medium_is_in_pieces(
    queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 16_000)
    job, _ = await queue.submit(with_media(LARGE, OTHER))
    fields = await redis.hkeys(await queue.key(keys.MEDIA, job.id))  # type: ignore[misc]
    assert sorted(fields) == [b"", b"0", b"0/1", b"0/2", b"1", b"1/1", b"1/2", b"1/3"]
    shard, wanted = await queue.shard(job.id), [stored(0, LARGE), stored(1, OTHER)]
    assert (await beside.read(shard, {job.id: wanted}))[job.id] == [LARGE, OTHER]
    await redis.hdel(await queue.key(keys.MEDIA, job.id), "0/1")  # type: ignore[misc]
    assert (await beside.read(shard, {job.id: wanted}))[job.id] == [None, OTHER]
    await queue.cancel(job.id)


def test_a_size_that_is_none_of_ours_is_not_counted() -> None:
    """A payload of another program may have any number there."""
    assert pieces.fields("0", 2**53) == pieces.fields("0", 0) == ["0"]
    assert pieces.fields("0", pieces.PIECE) == ["0"]
    assert pieces.fields("0", pieces.PIECE + 1) == ["0", "0/1"]
