"""The roster of workers: ages by the server's clock, and a server that has no memory left."""

from pathlib import Path

import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueUnavailable
from jobs.ledger import keys
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from jobs.store.connection import connect
from tests import valkey
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import SHARDS, JobQueue, first_shard, heartbeat


async def test_workers_do_not_look_dead_when_memory_is_full(tmp_path: Path) -> None:
    with valkey.running(tmp_path, maxmemory="1mb") as server:
        settings = Settings(redis_url=server.url(), shards=SHARDS)
        redis = connect(settings)
        with pytest.raises(QueueUnavailable):
            await JobQueue(redis, settings, [MODEL]).submit(new_job())
        beat = heartbeat()
        await Roster(first_shard(redis)).write(beat)
        [found] = await Roster(first_shard(redis)).read()
        found.age = 0.0
        assert found == beat
        await redis.aclose(close_connection_pool=True)


async def test_a_heartbeat_has_its_age_by_the_servers_clock(redis: ArqRedis) -> None:
    roster = Roster(first_shard(redis))
    await roster.write(heartbeat("fresh", age=99.0))
    await roster.write(heartbeat("silent"))
    await redis.zincrby(keys.ROSTER.pattern, -3_000, "silent")
    ages = {beat.id: beat.age for beat in await roster.read()}
    assert ages["fresh"] < ages["silent"] - 2.5 < 60
    assert ages["silent"] >= 3.0
