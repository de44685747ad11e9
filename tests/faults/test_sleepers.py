"""A worker that is stopped beyond its lease, or that gets a SIGTERM, also while Redis hangs."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from arq.connections import ArqRedis

from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from jobs.store.connection import connect
from tests import processes, valkey
from tests.gate import Gate
from tests.ledger import SHARDS, JobQueue, first_shard
from tests.waiting import until
from tests.worker.conftest import MODEL
from tests.worker.test_batch_worker import ended, submit

Own = tuple[valkey.Server, JobQueue]


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Own]:
    """A server that the test may stop, hang or kill, with a queue."""
    server = valkey.Server(tmp_path)
    server.start()
    settings = Settings(redis_url=server.url(), shards=SHARDS)
    redis = connect(settings)
    try:
        yield server, JobQueue(redis, settings, [MODEL])
    finally:
        server.signal(signal.SIGCONT)
        await redis.aclose(close_connection_pool=True)
        server.stop()


async def test_a_zombie_cannot_write(
    redis: ArqRedis, queue: JobQueue, redis_url: str, tmp_path: Path, gate: Gate
) -> None:
    models = processes.write_models(tmp_path)
    settings = {"redis_url": redis_url, "models_file": models, "lease": 2.0, "renew_every": 0.25}
    job_id = await submit(queue, gate.text)

    async def started(times: int) -> bool:
        return (await queue.read(job_id)).attempts == times

    with processes.running("worker", **settings) as zombie:
        await until(partial(started, 1), 60)
        os.kill(zombie.pid, signal.SIGSTOP)
        with processes.running("worker", **settings):
            await until(partial(started, 2), 60)
            gate.open()
            [job] = await ended(queue, job_id)
            assert (job.status, job.attempts) == ("succeeded", 2)
            os.kill(zombie.pid, signal.SIGCONT)

            async def noticed() -> bool:
                beats = [beat for beat in await Roster(first_shard(redis)).read() if beat.pid == zombie.pid]
                return any(beat.lost_leases + beat.refused_results for beat in beats)

            await until(noticed)
            assert await queue.read(job_id) == job


async def test_sigterm_finishes_the_batch_and_exits_with_status_0(
    redis: ArqRedis, queue: JobQueue, redis_url: str, tmp_path: Path, gate: Gate
) -> None:
    models = processes.write_models(tmp_path, max_batch_items=1)
    running, waiting = await submit(queue, gate.text), await submit(queue, "waits")

    async def says(state: str) -> bool:
        return any(beat.engine == state for beat in await Roster(first_shard(redis)).read())

    with processes.running("worker", redis_url=redis_url, models_file=models) as worker:
        await until(partial(says, "busy"), 60)
        worker.terminate()
        await until(partial(says, "stopping"))
        gate.open()
        assert await asyncio.to_thread(worker.wait, 60) == 0
    assert (await queue.read(running)).status == "succeeded"
    given_back = await queue.read(waiting)
    assert (given_back.status, given_back.attempts) == ("queued", 0)
    assert await Roster(first_shard(redis)).read() == []


async def test_a_stop_does_not_wait_for_a_redis_that_hangs(tmp_path: Path, own: Own, gate: Gate) -> None:
    server, queue = own
    models = processes.write_models(tmp_path, options={"seconds": 0.2}, max_batch_items=1)
    await submit(queue, gate.text)  # so that it is busy until it is to stop
    for i in range(20):
        await submit(queue, f"text {i}")

    async def busy() -> bool:
        return any(beat.engine == "busy" for beat in await Roster(first_shard(queue.redis)).read())

    changed = {"redis_url": server.url(), "models_file": models, "shutdown_grace": 1}
    with processes.running("worker", **changed) as worker:
        await until(busy, 60)
        started = [child.pid for child in psutil.Process(worker.pid).children()]
        server.signal(signal.SIGSTOP)
        gate.open()
        worker.terminate()
        await asyncio.to_thread(worker.wait, 60)
        assert started

        async def nothing_left() -> bool:
            return not any(map(psutil.pid_exists, started))

        await until(nothing_left)
