"""Requests that must be refused get the same answers on a cluster as on one server."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.settings import Settings
from jobs.store.store import Store
from tests import valkey
from tests.api.api_process import mounted
from tests.api.conftest import MODELS
from tests.api.v1.test_bad_requests import BAD
from tests.cluster import deployment, nodes
from tests.faults.clients import nonces
from tests.waiting import until

SHARDS = 6

UNKNOWN = {
    "of a shard": new_id(3),
    "of a shard that there is not": new_id(200),
    "of long ago": "01890000-0000-7000-8000-000000005000",
    "no id": "nonsense",
    "a pattern": "*",
    "a tag": "{3}",
    "a tag and an id": "{3}" + new_id(3),
    "an id in capitals": new_id(3).upper(),
    "an id with a line feed": new_id(3) + "%0A",
    "an id with a zero": new_id(3) + "%00",
    "a long id": "x" * 2_000,
    "bytes": "%ff%fe",
}
CALLS = [
    ("GET", ""),
    ("GET", "?wait=1"),
    ("GET", "/result"),
    ("GET", "/results"),
    ("GET", "/events"),
    ("DELETE", ""),
]
HEADERS: list[dict[str, str]] = [
    {"idempotency-key": ""},
    {"idempotency-key": "x" * 256},
    {"content-type": "text/plain"},
]
LISTINGS = ["limit=0", "limit=101", "limit=x", "cursor=*", f"cursor={new_id(3)}", "state=lost", "model=nix"]


@pytest.fixture
def one_server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "server").mkdir()
    with valkey.running(tmp_path / "server") as server:
        yield server.url()


@pytest.fixture
async def both(
    cluster: nodes.Cluster, one_server: str, tmp_path: Path
) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client of the API on one server, and one of the API on a cluster."""
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    async with AsyncExitStack() as exits:
        made = {}
        for name, url, shards in (("server", one_server, 1), ("cluster", cluster.url(), SHARDS)):
            settings = Settings(redis_url=url, models_file=models, data_dir=tmp_path, shards=shards)
            made[name], _ = await exits.enter_async_context(mounted(settings))
        yield made


def answered(answer: httpx.Response) -> tuple[int, Any]:
    """What must be equal, whatever the queue is stored on."""
    kind = answer.headers.get("content-type", "")
    return answer.status_code, answer.json() if "json" in kind else kind


async def same(both: dict[str, httpx.AsyncClient], method: str, path: str, **request: Any) -> int:
    """Sends a request to both; returns the status."""
    answers = {name: answered(await client.request(method, path, **request)) for name, client in both.items()}
    assert answers["cluster"] == answers["server"], (method, path, request)
    return answers["cluster"][0]


async def test_malformed_requests(both: dict[str, httpx.AsyncClient], cluster: nodes.Cluster) -> None:
    before = [cluster.admin(node).dbsize() for node in cluster.primaries()]
    for body, _, _ in BAD.values():
        assert await same(both, "POST", "/v1/jobs", content=body) in range(400, 500)
    for headers in HEADERS:
        given = {"content-type": "application/json", **headers}
        assert await same(both, "POST", "/v1/jobs", content=b'{"inputs": "x"}', headers=given) in range(
            400, 500
        )
    for query in LISTINGS:
        assert await same(both, "GET", f"/v1/jobs?{query}") in range(400, 500)
    left = [key for node in cluster.primaries() for key in cluster.admin(node).keys(keys.JOB.of("*"))]
    assert (before, left) == (before, []), "nothing was accepted"


@pytest.mark.parametrize("what", UNKNOWN)
async def test_ids_of_no_job(both: dict[str, httpx.AsyncClient], what: str) -> None:
    for method, rest in CALLS:
        assert await same(both, method, f"/v1/jobs/{UNKNOWN[what]}{rest}") in (404, 410), (method, rest)


async def test_another_programs_data_harms_the_model_of_its_shard_only(
    cluster: nodes.Cluster, store: Store, tmp_path: Path
) -> None:
    async with deployment.running(cluster, tmp_path) as run:
        client: ArqRedis = store.client("{3}")
        await client.delete(queue := keys.QUEUE.of("sentiment", "{3}"))
        await client.set(queue, "another program's data")

        async def told() -> bool:
            answer = (await run.http.get("/health/ready")).json()
            return queue in json.dumps(answer["checks"]["model sentiment"])

        await until(told)
        served = {number: 0 for number in range(SHARDS) if number != 3}

        async def all_others_serve() -> bool:
            answer = await run.http.post("/v1/jobs?wait=25", json={"inputs": nonces(1)[0]})
            if answer.status_code == 200 and answer.json()["status"] == "succeeded":
                served[deployment.shard_of(answer.json())] += 1
            else:
                assert answer.status_code == 503, answer.text
            return min(served.values()) > 1

        await until(all_others_serve)
        await client.delete(queue)
        await until(run.ready)
        await run.clients.submit(*nonces(60))
        assert 3 in map(deployment.shard_of, run.clients.accepted.values())
        await run.check()
