"""A model's page and the metrics say what a finished job takes in Redis, and what the free memory carries."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from api.health import footprint_cache
from api.health.footprint_cache import FootprintCache, free_memory
from api.health.observation import Observation
from api.pages.memory_figure import memory_figure
from api.wording import duration
from jobs.monitoring import footprints
from jobs.monitoring.footprints import Footprint
from jobs.settings import Settings
from jobs.wording import bytes_in_words
from tests import valkey
from tests.api.api_process import mounted
from tests.api.markup import parsed
from tests.api.pages.test_overview import worked
from tests.ledger import JobQueue, run_one
from tests.ports import free_port

MIB = 1024 * 1024
GIB = 1024 * MIB
FIGURES = ("memory per finished job", "memory of all", "free memory carries")


async def facts(client: httpx.AsyncClient, model: str = "sentiment") -> dict[str, str]:
    answer = await client.get(f"/models/{model}")
    assert answer.status_code == 200
    card = parsed(answer.text).one("article", id=f"model-{model}")
    return {row.one("dt").text: row.one("dd").text for row in card.all("div")}


async def finished(client: httpx.AsyncClient, queue: JobQueue, **asked: object) -> None:
    assert (await client.post("/v1/jobs", json={"inputs": "x", **asked})).status_code == 202
    await run_one(queue)


@pytest.fixture
async def limited(settings: Settings, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings for a server of its own, which is limited to 64 MiB."""
    with valkey.running(tmp_path, maxmemory="64mb") as server:
        yield settings.model_copy(update={"redis_url": server.url()})


async def test_without_finished_jobs_there_is_nothing(client: httpx.AsyncClient) -> None:
    assert (await facts(client)).keys().isdisjoint(FIGURES)


async def test_a_job_that_ended_is_measured(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    await finished(client, queue, result_ttl=600)
    found = await facts(client)
    size, unit, *rest = found["memory per finished job"].split()
    assert 150 < float(size) < 400
    assert (unit, " ".join(rest)) == ("bytes", "for 10 min")
    assert "memory of all" not in found, "none ended within the last minute, as far as a worker reported"
    assert "free memory carries" not in found, "maxmemory is not set"
    assert (await facts(client, "shapes")).keys().isdisjoint(FIGURES)
    fragment = parsed((await client.get("/fragments/overview?model=sentiment")).text)
    assert "memory per finished job" in [term.text for term in fragment.all("abbr")]
    metrics = (await client.get("/metrics")).text
    assert 'batchline_finished_job_lifetime_seconds{model="sentiment"} 600.0' in metrics
    assert f'batchline_finished_job_bytes{{model="sentiment"}} {size}' in metrics
    assert 'batchline_finished_job_bytes{model="shapes"}' not in metrics


async def test_a_busy_model_has_what_all_its_jobs_take(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    await finished(client, queue)
    await worked(redis, queue, jobs={"succeeded": 600}, items=600, batches=60)
    found = (await facts(client))["memory of all"]
    assert found.endswith("jobs/s")
    assert float(found.split()[0]) > 0


async def test_the_free_memory_carries_so_many_jobs(limited: Settings) -> None:
    async with mounted(limited) as (client, services):
        queue = JobQueue(services.store.client(""), limited, ["sentiment"])
        await finished(client, queue, result_ttl=10)
        found = await facts(client)
        carried, *words, free_mb, unit = found["free memory carries"].split()
        assert (words, unit) == (["jobs/s", "in"], "MB")
        free = float(free_mb)
        assert 50 < free < 67
        size = float(found["memory per finished job"].split()[0])
        assert float(carried.replace(",", "")) == pytest.approx(free * 1e6 / size / 10, rel=0.02)


@pytest.mark.parametrize("forbidden", ["-info", "-memory|usage"])
async def test_where_the_server_forbids_it_there_is_nothing(
    redis: ArqRedis, settings: Settings, forbidden: str
) -> None:
    """The page and the health are not affected: only what is not known is missing."""
    user = f"user{forbidden.replace('|', '')}"
    await redis.acl_setuser(
        user, enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", forbidden]
    )
    url = settings.redis_url.replace("://", f"://{user}:any@")
    try:
        async with mounted(settings.model_copy(update={"redis_url": url})) as (client, services):
            queue = JobQueue(services.store.client(""), settings, ["sentiment"])
            await finished(client, queue)
            found = await facts(client)
            assert ("memory per finished job" in found) == (forbidden == "-info")
            assert "free memory carries" not in found
            health = (await client.get("/health/ready")).json()
            assert health["checks"]["redis"] == {"ok": True, "level": "good"}
    finally:
        await redis.acl_deluser(user)


async def test_the_sample_is_used_for_a_while(
    redis: ArqRedis, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FootprintCache(queue.shards)
    assert await cache.read() == {}
    reads = 0

    async def read(_: object) -> dict[str, Footprint]:
        nonlocal reads
        reads += 1
        return {"sentiment": Footprint(1.0, 1.0)}

    monkeypatch.setattr(footprints, "read", read)
    assert await cache.read() == {}
    assert reads == 0
    monkeypatch.setattr(footprint_cache, "FRESH", -1.0)
    assert (await cache.read()).keys() == {"sentiment"}
    assert reads == 1


async def test_an_unreachable_server_leaves_the_last_sample(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    async with mounted(away) as (_, services):
        assert await services.footprints.read() == {}


@pytest.mark.parametrize(
    ("servers", "free"),
    [
        ({"": {"maxmemory": GIB, "used_memory": 24 * MIB}}, 1_000 * MIB),
        ({"": {"maxmemory": 0, "used_memory": 1}}, None),
        ({"": {}}, None),
        ({}, None),
        ({"": {"maxmemory": 10, "used_memory": 12}}, 0),
        ({"a": {"maxmemory": 10, "used_memory": 4}, "b": {"maxmemory": 10, "used_memory": 8}}, 8),
        ({"a": {"maxmemory": 10, "used_memory": 4}, "b": {"maxmemory": 0, "used_memory": 8}}, None),
        ({"a": {"maxmemory": 10, "used_memory": 4}, "b": None}, None),
    ],
)
def test_free_memory_is_that_of_all_primaries(servers: dict[str, Any], free: int | None) -> None:
    assert free_memory(servers) == free


def test_the_figure_is_the_issues_calculation() -> None:
    """4 GiB carry 1,630 jobs/s of 733 bytes for an hour."""
    seen = Observation({"": {"maxmemory": 4 * GIB, "used_memory": 0}}, (), {}, (), {}, {})
    figure = memory_figure(Footprint(733.0, 3_600.0), 10.0, seen)
    assert figure is not None
    assert (round(figure.carried or 0), round(figure.together or 0)) == (1_628, 26_388_000)
    assert memory_figure(None, 10.0, seen) is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (bytes_in_words(0.4), "0 bytes"),
        (bytes_in_words(1), "1 byte"),
        (bytes_in_words(264.2), "264 bytes"),
        (bytes_in_words(300_400), "300.4 kB"),
        (bytes_in_words(8_200_000), "8.2 MB"),
        (bytes_in_words(4 * GIB), "4.3 GB"),
        (duration(1.5), "1.5 s"),
        (duration(59.9), "59.9 s"),
        (duration(600), "10 min"),
        (duration(3_600), "1 h"),
        (duration(5_400), "1.5 h"),
        (duration(604_800), "7 d"),
    ],
)
def test_sizes_and_times_in_words(words: str, expected: str) -> None:
    assert words == expected
