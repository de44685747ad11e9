"""What a submit promises when it is answered: `disk` and `replica` promise more than memory, and keep it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from jobs.errors import IdempotencyMismatch, QueueDamaged, QueueFull, QueueUnavailable
from jobs.ledger import keys
from jobs.settings import Settings
from jobs.store import durability
from jobs.store.check import check
from jobs.store.connection import cancel, connect
from jobs.store.durability import Level
from tests import valkey
from tests.api.api_process import mounted
from tests.ledger import SHARDS, JobQueue
from tests.processes import write_models
from tests.waiting import until
from tests.worker.conftest import MODEL
from tests.worker.test_batch_worker import new_job

on_disk = pytest.mark.skipif(not valkey.knows_waitaof(), reason="this server cannot tell what is on disk")


class Own:
    """A server that the test may stop, and queues on it that share no connection."""

    def __init__(self, server: valkey.Server, stack: AsyncExitStack) -> None:
        self.server = server
        self.admin: Any = Redis(port=server.port)
        self._stack = stack

    def settings(self, level: Level, **changed: object) -> Settings:
        return Settings.model_validate(
            {
                "redis_url": self.server.url(),
                "durable_submit": level,
                "max_request_bytes": 1000,
                "shards": SHARDS,
                **changed,
            }
        )

    def queue(self, level: Level, connections: int = 64, **changed: object) -> JobQueue:
        settings = self.settings(level, **changed)
        redis = connect(settings, connections=connections)
        self._stack.push_async_callback(redis.aclose, close_connection_pool=True)
        return JobQueue(redis, settings, [MODEL])

    def stop_syncing(self) -> None:
        """The file is written but never synced, as on a disk that hangs."""
        self.admin.config_set("appendfsync", "no")

    def sync_again(self) -> None:
        self.admin.config_set("appendfsync", "always")

    def reads(self) -> int:
        """Times that the server has read from a connection: one for each round trip."""
        return int(self.admin.info("stats")["total_reads_processed"])


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Own]:
    folder = tmp_path / "primary"
    folder.mkdir()
    with valkey.running(folder, appendfsync="always", repl_diskless_sync_delay="0") as server:
        async with AsyncExitStack() as stack:
            own = Own(server, stack)
            yield own
            own.admin.close()


@pytest.fixture
def wait_longer(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What is not safe is given up soon, until this is called: from then on it will be safe, if slowly."""
    monkeypatch.setattr(durability, "TIMEOUT", 0.2)
    return lambda: monkeypatch.setattr(durability, "TIMEOUT", 4.0)


@pytest.fixture
async def attach(own: Own, tmp_path: Path) -> AsyncIterator[Callable[[], Redis]]:
    """Starts a replica of `own` and returns a client of it."""
    folder = tmp_path / "replica"
    folder.mkdir()
    replica = valkey.Server(folder, replicaof=f"127.0.0.1 {own.server.port}")
    client = Redis(port=replica.port)

    def start() -> Redis:
        replica.start()
        return client

    yield start
    client.close()
    if replica.process:
        replica.kill()


async def in_step(own: Own) -> None:
    """Waits until a write reaches the replica; each end calls it online before that."""

    async def reached() -> bool:
        own.admin.set("a write", 1, px=1)
        return bool(own.admin.wait(1, 100))

    await until(reached)


@pytest.mark.parametrize("level", ["memory", pytest.param("disk", marks=on_disk)])
async def test_a_submit_is_one_round_trip(own: Own, level: Level) -> None:
    queue = own.queue(level)
    await queue.submit(new_job("loads the script"))
    before = own.reads()
    asking = own.reads() - before
    before = own.reads()
    await queue.submit(new_job("text"))
    assert own.reads() - before == asking + 1


@pytest.mark.parametrize("level", ["memory", pytest.param("disk", marks=on_disk)])
async def test_submits_that_come_together_share_round_trips(own: Own, level: Level) -> None:
    queue = own.queue(level)
    await queue.submit(new_job("loads the script"))
    before = own.reads()
    jobs = await asyncio.gather(
        *(queue.submit(new_job(f"text {i}"), idempotency_key=str(i % 50)) for i in range(100)),
        return_exceptions=True,
    )
    assert own.reads() - before < 10
    positions = [job[0].position or 0 for job in jobs if isinstance(job, tuple)]
    if SHARDS == 1:
        assert sorted(positions) == list(range(2, 52))
    else:  # a position among several shards is an estimate
        assert len(positions) == 50
    assert sum(isinstance(job, IdempotencyMismatch) for job in jobs) == 50


async def test_positions_and_rings_of_submits_that_come_together(own: Own) -> None:
    """With several shards a position is an estimate, so this is a test of one."""
    queue = own.queue("memory", shards=1)
    for _ in range(3):
        await queue.submit(new_job("waits"))
    own.admin.delete(keys.DOORBELL.of(MODEL))
    priorities = ["low", "high", "high", "normal", "low"]
    jobs = await asyncio.gather(*(queue.submit(new_job("text", priority=each)) for each in priorities))
    positions = [job.position for job, _ in jobs]
    assert positions[-1] == 8, "the last of all"
    assert positions[3] in (6, 7), "before the low ones, of which one may have come first"
    assert own.admin.llen(keys.DOORBELL.of(MODEL)) == 5, "each may wake a worker"


@on_disk
async def test_what_was_submitted_survives_the_servers_death(own: Own) -> None:
    jobs = [await own.queue("disk").submit(new_job(f"text {i}")) for i in range(10)]
    own.server.kill()
    own.server.start()
    for job, _ in jobs:
        assert (await own.queue("disk").read(job.id)).status == "queued"


@on_disk
async def test_what_is_not_synced_is_not_accepted(own: Own, wait_longer: Callable[[], None]) -> None:
    job_id = await own.queue("disk").new_id(idempotency_key="once")
    own.stop_syncing()
    with pytest.raises(QueueUnavailable, match="has not synced"):
        await own.queue("disk").submit(new_job("text"), idempotency_key="once", job_id=job_id)
    for again in (
        None,
        "once",
    ):  # found by its id, and by its key; each time over a connection that wrote nothing
        with pytest.raises(QueueUnavailable, match="has not synced"):
            await own.queue("disk").submit(new_job("text"), idempotency_key=again, job_id=job_id)
    own.sync_again()
    wait_longer()
    job, replayed = await own.queue("disk").submit(new_job("text"), idempotency_key="once")
    assert (job.id, replayed) == (job_id, True)
    job, replayed = await own.queue("disk").submit(new_job("text"), job_id=job_id)
    assert (job.id, replayed) == (job_id, False)


@on_disk
async def test_a_replay_whose_write_fails_is_not_called_safe(own: Own) -> None:
    """It wrote nothing, so nothing was waited for."""
    queue = own.queue("memory")
    job, _ = await queue.submit(new_job("text"), idempotency_key="once")
    counter = await queue.beside(keys.BYTES, job.id)
    own.admin.delete(counter)
    own.admin.rpush(counter, "no number")
    with pytest.raises(QueueDamaged, match="holds a list where a string belongs"):
        await own.queue("disk").submit(new_job("text"), idempotency_key="once")


@on_disk
async def test_a_server_that_syncs_each_second_now_accepts_nothing(own: Own) -> None:
    own.admin.config_set("appendfsync", "everysec")
    with pytest.raises(QueueUnavailable, match="no longer always"):
        await own.queue("disk").submit(new_job("text"))


@on_disk
async def test_a_server_that_keeps_no_file_any_more_accepts_nothing(own: Own) -> None:
    own.admin.config_set("appendonly", "no")
    with pytest.raises(QueueUnavailable, match="appendonly is disabled"):
        await own.queue("disk").submit(new_job("text"))


async def test_without_a_replica_nothing_is_accepted(
    own: Own, attach: Callable[[], Redis], wait_longer: Callable[[], None]
) -> None:
    await check(own.settings("replica"))
    queue = own.queue("replica")
    job_id = await queue.new_id(idempotency_key="once")
    for _ in range(2):
        with pytest.raises(QueueUnavailable, match="no replica has the job"):
            await queue.submit(new_job("text"), idempotency_key="once", job_id=job_id)
    attach()
    await in_step(own)
    wait_longer()
    job, replayed = await queue.submit(new_job("text"), idempotency_key="once")
    assert (job.id, replayed) == (job_id, True)


async def test_what_was_accepted_is_on_the_replica(own: Own, attach: Callable[[], Redis]) -> None:
    replica = attach()
    await in_step(own)
    queue = own.queue("replica")
    for i in range(20):
        job, _ = await queue.submit(new_job(f"text {i}"))
        assert replica.exists(await queue.key(keys.JOB, job.id))


@pytest.mark.usefixtures("wait_longer")
async def test_a_refusal_waits_for_no_replica(own: Own) -> None:
    await own.queue("memory").submit(new_job("text"), idempotency_key="once")
    queue = own.queue("replica", max_queued_jobs=1)
    with pytest.raises(IdempotencyMismatch):
        await queue.submit(new_job("another"), idempotency_key="once")
    with pytest.raises(QueueFull):
        await queue.submit(new_job("another"))


@on_disk
async def test_a_server_that_forgot_the_script_learns_it_again(own: Own) -> None:
    queue = own.queue("disk")
    await queue.submit(new_job("text"))
    own.admin.script_flush()
    job, _ = await queue.submit(new_job("text"), idempotency_key="once")
    own.admin.script_flush()
    assert await queue.submit(new_job("text"), idempotency_key="once") == (job, True)


async def test_submits_that_wait_leave_connections_to_others(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "TIMEOUT", 4.0)
    queue = own.queue("replica", connections=SHARDS + 2)
    submits = [asyncio.create_task(queue.submit(new_job("text"))) for _ in range(6)]

    async def waiting() -> bool:
        blocked: int = own.admin.info("clients")["blocked_clients"]
        return 1 <= blocked <= SHARDS

    await until(waiting)
    await queue.depth()
    assert not any(submit.done() for submit in submits)
    await cancel(*submits)


async def test_a_client_is_told_to_try_again(
    own: Own, tmp_path: Path, attach: Callable[[], Redis], wait_longer: Callable[[], None]
) -> None:
    settings = own.settings("replica", models_file=write_models(tmp_path))
    async with mounted(settings) as (client, _):

        async def submit() -> httpx.Response:
            headers = {"Idempotency-Key": "once"}
            return await client.post("/v1/jobs", json={"inputs": "text"}, headers=headers)

        answer = await submit()
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        attach()
        await in_step(own)
        wait_longer()
        assert (await submit()).status_code == 202
        assert len((await client.get("/v1/jobs")).json()["jobs"]) == 1
