"""The story of `tests/journey/test_story.py`, with the queue on a cluster."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.store.store import Store
from tests import processes
from tests.cluster import nodes
from tests.cluster.deployment import shard_of
from tests.cluster.routed import Routed
from tests.conftest import keys_without_lifetime
from tests.faults.clients import nonces
from tests.gate import Gate
from tests.journey.conftest import Running, batchline
from tests.journey.test_story import (
    MODELS,
    submit,
    test_a_sentence_goes_in_and_an_answer_comes_out,
    test_everything_else_is_answered_while_the_engine_is_busy,
    test_one_bad_input_in_a_batch_of_16,
)
from tests.waiting import until

__all__ = [
    "batchline",
    "test_a_sentence_goes_in_and_an_answer_comes_out",
    "test_everything_else_is_answered_while_the_engine_is_busy",
    "test_one_bad_input_in_a_batch_of_16",
]

SHARDS = 6


@pytest.fixture
def redis_url(cluster: nodes.Cluster) -> str:
    return cluster.url()


@pytest.fixture
async def demo(batchline: Running) -> AsyncIterator[str]:
    async with batchline(MODELS) as client:
        yield str(client.base_url)


@pytest.fixture
async def poison(batchline: Running, tmp_path: Path) -> AsyncIterator[str]:
    async with batchline(processes.write_models(tmp_path)) as client:
        yield str(client.base_url)


@pytest.fixture
def shards() -> int:
    return SHARDS


@pytest.fixture
async def redis(store: Store) -> AsyncIterator[Routed]:
    client = Routed(store)
    yield client
    left = await keys_without_lifetime(client)  # type: ignore[arg-type]
    assert not left, f"keys without a lifetime: {left}"


async def in_each_shard(client: httpx.AsyncClient) -> dict[int, list[dict[str, Any]]]:
    """Jobs that wait, at least two in each shard, by shard."""
    found: dict[int, list[dict[str, Any]]] = {number: [] for number in range(SHARDS)}

    async def filled() -> bool:
        job = await submit(client, nonces(1)[0], wait=0)
        found[shard_of(job)].append(job)
        return all(len(jobs) >= 2 for jobs in found.values())

    await until(filled)
    return found


async def last_event(client: httpx.AsyncClient, job: dict[str, Any], begun: asyncio.Semaphore) -> str:
    """The name of the last event of a job's stream; releases the semaphore at the first."""
    names: list[str] = []
    async with client.stream("GET", job["urls"]["events"]) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
                begun.release()
    return names[-1]


async def test_every_call_works_in_every_shard(
    batchline: Running, redis: Routed, tmp_path: Path, gate: Gate
) -> None:
    async with batchline(processes.write_models(tmp_path)) as client:
        held = await submit(client, gate.text, wait=0)
        jobs = await in_each_shard(client)
        for cancelled, waiting, *_ in jobs.values():
            found = (await client.get(waiting["urls"]["self"])).json()
            assert (found["id"], found["status"]) in [(waiting["id"], "queued"), (waiting["id"], "running")]
            assert (await client.delete(cancelled["urls"]["self"])).json()["status"] == "cancelled"
            assert (await client.get(f"/jobs/{waiting['id']}")).status_code == 200
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(last_event(client, some[1], begun)) for some in jobs.values()]
        waits = [
            asyncio.create_task(client.get(some[1]["urls"]["self"], params={"wait": 60}))
            for some in jobs.values()
        ]
        for _ in streams:
            await begun.acquire()
        gate.open()
        assert await asyncio.gather(*streams) == ["succeeded"] * SHARDS
        assert [answer.json()["status"] for answer in await asyncio.gather(*waits)] == ["succeeded"] * SHARDS
        for page in ("/", "/jobs", "/models/sentiment", "/try", "/metrics", "/health/ready"):
            assert (await client.get(page, follow_redirects=True)).status_code == 200, page

        made = {held["id"], *(job["id"] for some in jobs.values() for job in some)}
        listed: list[str] = []
        cursor: dict[str, str] = {}
        while cursor or not listed:
            page_of = (await client.get("/v1/jobs", params={"limit": 5, **cursor})).json()
            listed += [job["id"] for job in page_of["jobs"]]
            cursor = {"cursor": page_of["next"]} if page_of["next"] else {}
        assert (len(listed), set(listed)) == (len(made), made), "each job once"


async def test_a_key_makes_one_job_whichever_its_shard(
    batchline: Running, redis: Routed, tmp_path: Path
) -> None:
    seen: dict[str, str] = {}
    async with batchline(processes.write_models(tmp_path)) as client:
        for again in (False, True):
            for key in map(str, range(24)):
                answer = await client.post(
                    "/v1/jobs", json={"inputs": "A wonderful film."}, headers={"idempotency-key": key}
                )
                assert answer.status_code == 202
                assert ("idempotency-replayed" in answer.headers) == again
                assert seen.setdefault(key, answer.json()["id"]) == answer.json()["id"]
        assert set(map(shard_of, seen.values())) == set(range(SHARDS))
        other = await client.post("/v1/jobs", json={"inputs": "x"}, headers={"idempotency-key": "0"})
        assert other.status_code == 422, other.text
