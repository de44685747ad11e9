"""The roster of workers: where their server has no memory left, and how silent each has been."""

from pathlib import Path

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs import keys
from jobs.connection import connect
from jobs.errors import QueueUnavailable
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.workers import Roster
from tests import valkey
from tests.jobs.test_queue import MODEL, new_job
from tests.ledger import heartbeat


async def test_workers_do_not_look_dead_when_memory_is_full(tmp_path: Path) -> None:
    with valkey.running(tmp_path, maxmemory="1mb") as server:
        settings = Settings(redis_url=server.url())
        redis = connect(settings)
        with pytest.raises(QueueUnavailable):
            await JobQueue(redis, settings, [MODEL]).submit(new_job())
        beat = heartbeat()
        await Roster(redis).write(beat)
        [read] = await Roster(redis).read()
        assert replace(read, silent=0.0) == beat
        await redis.aclose(close_connection_pool=True)


async def test_a_reader_is_told_how_long_a_worker_has_been_silent(redis: ArqRedis) -> None:
    """By the server's clock, long before it is struck off."""
    roster = Roster(redis)
    await roster.write(heartbeat("quiet"))
    await roster.write(heartbeat("lively"))
    await redis.zincrby(keys.ROSTER.pattern, -3_000, "quiet")
    silent = {beat.id: beat.silent for beat in await roster.read()}
    assert silent["quiet"] >= 3
    assert 0 <= silent["lively"] < silent["quiet"]
