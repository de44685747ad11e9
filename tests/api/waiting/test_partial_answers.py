"""Texts that grow, as Server-Sent Events: in order, each part once, from where the client left off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from httpx_sse import ServerSentEvent

from jobs.errors import QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.partials import REFUSED, Restarted
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.lua import script
from tests import valkey
from tests.api.api_process import Edge, listening, on_disk, parked, serving
from tests.api.waiting.streaming import (
    PARTS,
    Collecting,
    appended,
    collected,
    following,
    names,
    running,
    texts,
)
from tests.jobs.monitored import monitored
from tests.ledger import MODEL, SHARDS, JobQueue, ending


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": SHARDS, "lease": 600.0})


@pytest.fixture
async def edge(settings: Settings) -> AsyncIterator[Edge]:
    async with serving(settings) as edge:
        await listening(edge[1])
        yield edge


async def test_two_followers_get_each_part_in_order_and_the_end(edge: Edge, queue: JobQueue) -> None:
    client, services = edge
    job = await running(client, queue)
    async with following(client, job) as one, following(client, job) as other:
        collecting = [Collecting(source) for source in (one, other)]
        for each in collecting:
            await each.has(1)
        length = await appended(queue, job)
        await queue.append(job, length, Restarted(0), PARTS[0])
        await queue.finish(MODEL, [ending(job)])
        both = [await each.all() for each in collecting]
    for seen in both:
        assert names(seen) == ["running", *["output"] * 4, "restarted", "output", "succeeded"]
        assert texts(seen) == [part.text for part in [*PARTS, PARTS[0]]]
        assert seen[5].json() == {"index": 0}
        assert seen[4].json() == {"index": 0, "text": "<b>\n", "tokens": 4}
        assert seen[4].id == f"running.1~{length}"
        assert seen[-1].id == "succeeded.1"
    await parked(services, 0)


async def test_a_client_resumes_after_any_part(edge: Edge, queue: JobQueue) -> None:
    client, services = edge
    job = await running(client, queue)
    length = await appended(queue, job)
    async with following(client, job) as source:
        stream = source.aiter_sse()
        before = [await anext(stream) for _ in range(5)]
    assert names(before) == ["running", *["output"] * 4], "a client that comes late gets all"
    for at in (0, 2, 4):
        async with following(client, job, before[at].id) as source:
            stream = source.aiter_sse()
            rest = [await anext(stream) for _ in range(4 - at)]
            assert texts(rest) == [part.text for part in PARTS[at:]]
    async with following(client, job, before[4].id) as source:
        collecting = asyncio.create_task(collected(source))
        await parked(services)
        await queue.append(job, length, PARTS[0])
        await queue.finish(MODEL, [ending(job)])
        assert names(await collecting) == ["output", "succeeded"]


async def test_a_client_with_a_part_gets_the_rest_after_the_end(
    edge: Edge, queue: JobQueue, redis: ArqRedis
) -> None:
    client, _ = edge
    job = await running(client, queue)
    first = await queue.append(job, 0, PARTS[0])
    await appended(queue, job, first)
    await queue.finish(MODEL, [ending(job)])

    async def seen(last_id: str | None) -> list[ServerSentEvent]:
        async with following(client, job, last_id) as source:
            return await collected(source)

    rest = await seen(f"running.1~{first}")
    assert texts(rest) == [part.text for part in PARTS]
    assert names(rest) == [*["output"] * 4, "succeeded"]
    assert names(await seen(rest[1].id)) == [*["output"] * 2, "succeeded"]
    for last_id in (None, "running.1", rest[3].id):
        assert names(await seen(last_id)) == ["succeeded"], "it has the whole text"
    await redis.delete(await queue.key(keys.PARTIALS, job.id))
    assert names(await seen(f"running.1~{first}")) == ["succeeded"]


async def test_following_a_job_without_it_costs_no_further_read(
    edge: Edge, queue: JobQueue, redis: ArqRedis
) -> None:
    client, services = edge
    claimed = await running(client, queue, stream=False)
    async with monitored(redis) as sent:
        async with following(client, claimed) as source:
            collecting = Collecting(source)
            await collecting.has(1)
            services.subscriber.reread_all()
            await queue.finish(MODEL, [ending(claimed)])
            assert names(await collecting.all()) == ["running", "succeeded"]
        async with following(client, claimed, "running.1") as source:
            await collected(source)
    about = [one for one in sent if claimed.id in " ".join(one.words)]
    expected = (script("read"), script("watch"), script("finish"))
    assert [one.words for one in about if not any(map(one.runs, expected))] == []


async def test_redis_is_away_for_a_moment(settings: Settings, tmp_path: Path) -> None:
    with valkey.running(tmp_path) as server:
        alone = settings.model_copy(update={"redis_url": server.url()})
        redis = connect(alone)
        queue = JobQueue(redis, alone, [MODEL])
        async with serving(alone) as (client, _):
            job = await running(client, queue)
            async with following(client, job) as source:
                collecting = Collecting(source)
                await collecting.has(1)
                length = await queue.append(job, 0, *PARTS[:2])
                await on_disk(redis)
                server.kill()
                server.start()
                length = await queue.append(job, length, PARTS[2])
                await queue.append(job, length, PARTS[3])
                await queue.finish(MODEL, [ending(job)])
                seen = await collecting.all()
        await queue.close()
        await redis.aclose(close_connection_pool=True)
    assert texts(seen) == [part.text for part in PARTS]
    assert names(seen)[-1] == "succeeded"


async def test_data_of_another_program_is_not_shown(edge: Edge, queue: JobQueue, redis: ArqRedis) -> None:
    client, _ = edge
    for data in ("o or another text\nr", "no line\n" * 40_000, "x" * 600_000, 1):
        job = await running(client, queue)
        key = await queue.key(keys.PARTIALS, job.id)
        await (redis.set(key, data) if isinstance(data, str) else redis.rpush(key, data))  # type: ignore[misc]
        async with following(client, job) as source:
            collecting = Collecting(source)
            await collecting.has(1)
            assert await queue.append(job, 0, PARTS[0]) == REFUSED
            await queue.finish(MODEL, [ending(job)])
            assert names(await collecting.all()) == ["running", "succeeded"]
        async with following(client, job, "running.1~3") as source:
            assert names(await collected(source)) == ["succeeded"]


@pytest.mark.parametrize("missing", ["lines", "messages"])
async def test_what_no_message_brought_is_read(
    edge: Edge, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    client, services = edge
    job = await running(client, queue)
    if missing == "lines":
        for shard in queue.shards:
            shard._names["inline"] = 0
    else:
        deliver, lost = services.subscriber._deliver, iter(range(2))
        monkeypatch.setattr(
            services.subscriber, "_deliver", lambda data: next(lost, None) is not None or deliver(data)
        )
    async with following(client, job) as source:
        collecting = Collecting(source)
        await collecting.has(1)
        await appended(queue, job)
        await queue.finish(MODEL, [ending(job)])
        seen = await collecting.all()
    assert texts(seen) == [part.text for part in PARTS]
    assert names(seen)[-1] == "succeeded"


async def test_what_could_not_be_read_comes_before_the_end(
    edge: Edge, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end comes by a message before the read is tried again."""
    client, services = edge
    job = await running(client, queue)
    reader, tried = type(services.ledger.following), asyncio.Event()
    read = reader.partials

    async def fails_once(*given: Any) -> bytes:
        if not tried.is_set():
            tried.set()
            raise QueueUnavailable("Redis is away")
        return await read(*given)

    monkeypatch.setattr(reader, "partials", fails_once)
    for shard in queue.shards:
        shard._names["inline"] = 0  # messages without the lines
    async with following(client, job) as source:
        collecting = Collecting(source)
        await collecting.has(1)
        await queue.append(job, 0, PARTS[0])
        await tried.wait()
        await queue.finish(MODEL, [ending(job)])
        assert texts(await collecting.all()) == [PARTS[0].text]


async def test_a_cancel_ends_the_stream_and_a_hang_up_frees_it(edge: Edge, queue: JobQueue) -> None:
    client, services = edge
    job = await running(client, queue)
    await appended(queue, job)
    async with following(client, job) as source:
        await anext(source.aiter_sse())
        await parked(services)
    await parked(services, 0)
    assert not services.subscriber._watches
    async with following(client, job) as source:
        collecting = asyncio.create_task(collected(source))
        await parked(services)
        await client.delete(f"/v1/jobs/{job.id}")
        assert names(await collecting)[-1] == "cancelled"


async def test_strange_ids_harm_nobody(edge: Edge, queue: JobQueue) -> None:
    """With a position that is none of ours, only what follows it may come."""
    client, _ = edge
    job = await running(client, queue)
    await appended(queue, job)
    ids = {
        "running.1~x": ["running", *["output"] * 4],
        "~": ["running", *["output"] * 4],
        "running.1~99999999999999999": ["running", *["output"] * 4],
        "x" * 5_000: ["running", *["output"] * 4],
        "running.1~1": ["output"] * 3,
        "queued.0~999999999": ["running"],
    }
    async with AsyncExitStack() as stack:
        sources = [await stack.enter_async_context(following(client, job, last_id)) for last_id in ids]
        collecting = [Collecting(source) for source in sources]
        for each, events in zip(collecting, ids.values(), strict=True):
            await each.has(len(events))
        await queue.finish(MODEL, [ending(job)])
        seen = [names(await each.all()) for each in collecting]
    assert seen == [[*events, "succeeded"] for events in ids.values()]


async def test_a_form_and_a_wrong_value(edge: Edge) -> None:
    client, _ = edge
    form = await client.post("/v1/jobs", files={"inputs": (None, "x"), "stream": (None, "true")})
    assert form.status_code == 202
    wrong = await client.post("/v1/jobs", json={"inputs": "x", "stream": "yes"})
    assert (wrong.status_code, wrong.json()["pointer"]) == (422, "/stream")
