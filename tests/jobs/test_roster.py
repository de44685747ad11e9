"""The roster of workers, where their server has no memory left."""

from pathlib import Path

import pytest

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
        assert await Roster(redis).read() == [beat]
        await redis.aclose(close_connection_pool=True)
