"""Waiting: woken by the event and by nothing else, however the event, Redis or the client fails."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from api.waiting import subscriber, waiting
from jobs.ledger.ledger import Ledger
from jobs.schema import Job
from jobs.settings import Settings
from jobs.store.connection import connect
from tests import valkey
from tests.api.api_process import mounted, on_disk, parked, subscribed
from tests.ledger import MODEL, JobQueue, ending, run_one
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_rereading")

SLOW = {"model": MODEL, "inputs": "x"}
SOON = 30.0
"""Seconds that an event may take to end a wait, which is for 60."""


async def soon(wait: asyncio.Task[httpx.Response]) -> httpx.Response:
    """The answer, which must come by an event: at the end of its wait a job is read in any case."""
    async with asyncio.timeout(SOON):
        return await wait


async def commands(redis: ArqRedis) -> int:
    """Commands that the server has run, less those that ask for it."""
    stats = await redis.info("commandstats")
    return sum(stat["calls"] for name, stat in stats.items() if name not in ("cmdstat_info", "cmdstat_ping"))


async def test_many_waits_for_one_job_end_with_it(settings: Settings, queue: JobQueue) -> None:
    async with mounted(settings) as (client, services):
        job_id = (await client.post("/v1/jobs", json=SLOW)).json()["id"]
        paths = [f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/result"] * 5
        waits = [asyncio.create_task(client.get(f"{path}?wait=60")) for path in paths]
        await parked(services, 10)
        await run_one(queue)
        answers = await asyncio.gather(*waits)
        assert {answer.status_code for answer in answers} == {200}
        await parked(services, 0)


async def test_waiting_costs_no_polling(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server of its own: while 20 requests wait, no command comes but the process's upkeep; when the job
    ends, the event carries the record and nobody reads."""
    monkeypatch.setattr("jobs.monitoring.upkeep.SWEEP_EVERY", 3600.0)
    monkeypatch.setattr("hooks.listeners.POLL_EVERY", 3600.0)
    with valkey.running(tmp_path) as server:
        alone = settings.model_copy(update={"redis_url": server.url()})
        redis = connect(alone)
        queue = JobQueue(redis, alone, [MODEL])
        async with mounted(alone) as (client, services):
            await subscribed(redis)
            job_id = (await client.post("/v1/jobs", json=SLOW)).json()["id"]
            waits = [asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=60")) for _ in range(20)]
            await parked(services, 20)
            claimed, _ = await queue.claim(MODEL, 1)

            async def settled() -> bool:
                before = await commands(redis)
                await asyncio.sleep(0.1)  # a span of time is what is measured
                return await commands(redis) == before

            await until(settled)
            before = await commands(redis)
            await asyncio.sleep(0.5)
            assert await commands(redis) == before, "waiting asks nothing"
            await queue.finish(MODEL, [ending(claimed[0])])
            finished = await commands(redis)
            answers = await asyncio.gather(*waits)
            assert {answer.json()["status"] for answer in answers} == {"succeeded"}
            assert await commands(redis) == finished, "nobody read the job again"
        await redis.aclose(close_connection_pool=True)


async def test_a_result_too_large_for_the_event_is_read(settings: Settings, redis: ArqRedis) -> None:
    small = settings.model_copy(update={"inline_bytes": 0})
    async with mounted(small) as (client, services):
        wait = asyncio.create_task(client.post("/v1/jobs?wait=60", json=SLOW))
        await parked(services)
        ran = JobQueue(redis, small, [MODEL])

        async def done() -> bool:
            return await run_one(ran) is not None

        await until(done)
        assert (await wait).json()["status"] == "succeeded"


async def test_cancelling_and_expiring_end_a_wait(settings: Settings, queue: JobQueue) -> None:
    async with mounted(settings) as (client, services):
        job_id = (await client.post("/v1/jobs", json=SLOW)).json()["id"]
        wait = asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=60"))
        await parked(services)
        await client.delete(f"/v1/jobs/{job_id}")
        assert (await wait).json()["status"] == "cancelled"


async def test_a_wait_tells_how_far_the_job_is_when_its_time_is_over(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = asyncio.Event()  # when the wait is: not before the job is claimed, however long that takes

    async def ends(watch: subscriber.Watch, seconds: float) -> None:
        await over.wait()

    async with mounted(settings) as (client, services):
        monkeypatch.setattr(subscriber.Watch, "next", ends)
        monkeypatch.setattr(waiting, "LAST_READ_SECONDS", 60.0)
        wait = asyncio.create_task(client.post("/v1/jobs?wait=0.01", json=SLOW))
        await parked(services)

        async def claimed() -> bool:
            return bool((await queue.claim(MODEL, 1))[0])

        await until(claimed)
        over.set()
        answer = await wait
        assert (answer.status_code, answer.json()["status"]) == (202, "running")


async def test_a_long_wait_is_cut_to_the_longest(settings: Settings) -> None:
    async with mounted(settings.model_copy(update={"max_wait": 0.1})) as (client, _):
        async with asyncio.timeout(SOON):
            for headers, query in (({}, "?wait=3600"), ({"prefer": "wait=3600"}, "")):
                answer = await client.post(f"/v1/jobs{query}", json=SLOW, headers=headers)
                assert answer.json()["status"] == "queued"


async def test_events_lost_while_the_subscription_was_down_are_made_up_for(
    settings: Settings, tmp_path: Path
) -> None:
    """The subscription is cut and the job ends unheard before it is back: the new one makes waiters read."""
    with valkey.running(tmp_path) as server:
        alone = settings.model_copy(update={"redis_url": server.url()})
        redis = connect(alone)
        queue = JobQueue(redis, alone, [MODEL])
        async with mounted(alone) as (client, services):
            await subscribed(redis)
            wait = asyncio.create_task(client.post("/v1/jobs?wait=60", json=SLOW))
            await parked(services)
            claimed = []

            async def leased() -> bool:
                claimed.extend((await queue.claim(MODEL, 1))[0])
                return bool(claimed)

            await until(leased)
            async with redis.pipeline(transaction=True) as pipe:  # at one instant, so no event gets through
                pipe.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await pipe.execute()
                await queue.finish(MODEL, [ending(claimed[0])])
            assert (await soon(wait)).json()["status"] == "succeeded"
        await redis.aclose(close_connection_pool=True)


async def test_a_subscription_that_fell_silent_is_noticed(
    settings: Settings, queue: JobQueue, server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a line that stays open and carries nothing any more, as after a lost route."""
    monkeypatch.setattr(subscriber, "PING_EVERY", 0.2)
    monkeypatch.setattr(subscriber, "SILENCE", 0.4)
    async with Line(server.port) as line:
        database = settings.redis_url.rpartition("/")[2]
        through = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{line.port}/{database}"})
        async with mounted(through) as (client, services):
            await subscribed(queue.redis)
            job_id = (await client.post("/v1/jobs", json=SLOW)).json()["id"]
            wait = asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=60"))
            await parked(services)
            line.silence_subscriptions()
            await run_one(queue)
            assert (await soon(wait)).json()["status"] == "succeeded"


async def test_a_wait_outlives_redis(settings: Settings, tmp_path: Path) -> None:
    """Redis goes and comes back within the wait, and the job with it."""
    with valkey.running(tmp_path) as server:
        alone = settings.model_copy(update={"redis_url": server.url()})
        async with mounted(alone) as (client, services):
            redis = connect(alone)
            await subscribed(redis)
            wait = asyncio.create_task(client.post("/v1/jobs?wait=60", json=SLOW))
            await parked(services)
            queue = JobQueue(redis, alone, [MODEL])

            async def accepted() -> bool:
                return (await queue.depth())[MODEL].waiting == 1

            await until(accepted)
            await on_disk(redis)
            server.kill()
            lost = await client.get("/v1/jobs")
            assert (lost.status_code, lost.headers["retry-after"]) == (503, "1")
            assert lost.json()["type"] == "urn:batchline:problem:redis-unavailable"
            late = await client.post("/v1/jobs", json=SLOW)
            assert late.status_code == 503
            server.start()
            await run_one(queue)
            assert (await soon(wait)).json()["status"] == "succeeded"
            await redis.aclose(close_connection_pool=True)


async def test_a_wait_without_redis_answers_what_was_known(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.running(tmp_path) as server:
        alone = settings.model_copy(update={"redis_url": server.url()})
        async with mounted(alone) as (client, services):
            job_id = (await client.post("/v1/jobs", json=SLOW)).json()["id"]
            known = asyncio.Event()

            async def noted(job_id: str, **options: Any) -> Job:
                job = await Ledger.read(services.ledger, job_id, **options)
                known.set()
                return job

            monkeypatch.setattr(services.ledger, "read", noted)
            wait = asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=3"))
            await known.wait()
            server.kill()
            answer = await wait
            assert (answer.status_code, answer.json()["status"]) == (200, "queued")
        server.start()


async def test_shutdown_lets_every_wait_go(settings: Settings) -> None:
    async with mounted(settings) as (client, services):
        waits = [asyncio.create_task(client.post("/v1/jobs?wait=60", json=SLOW)) for _ in range(5)]
        await parked(services, 5)

        async def accepted() -> bool:
            return (await services.ledger.shards.depth())[MODEL].waiting == 5

        await until(accepted)
        services.subscriber.release_all()
        async with asyncio.timeout(SOON):
            answers = await asyncio.gather(*waits)
            late = await client.post("/v1/jobs?wait=60", json=SLOW)
        assert {answer.status_code for answer in [*answers, late]} == {202}


class Line:
    """A TCP line to the server; those of its connections that subscribed can be made to carry nothing."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._subscribed: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence_subscriptions(self) -> None:
        """From now on, for the subscribed connections that are open now."""
        for muted in self._subscribed:
            muted.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        muted = asyncio.Event()
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink, muted))
            self._tasks.add(task)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        try:
            while data := await source.read(65_536):
                if b"SUBSCRIBE" in data:
                    self._subscribed.append(muted)
                if not muted.is_set():
                    sink.write(data)
        finally:
            sink.close()
