"""What the models file adds to a request: names with a slash, aliases, default parameters, an example."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.wire import decode_payload
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import parsed

MODELS = """
[models."BAAI/Bge-small-en-v1.5"]
task = "feature-extraction"
source = "no/such/folder"
aliases = ["bge", "sentence-transformers/other"]
defaults = { pooling = "cls", normalize = true }
example = "A sentence of ours."

[models.labels]
task = "zero-shot-classification"
source = "no/such/folder"
defaults = { candidate_labels = ["glad", "sad"] }
example = ["One text.", "Another\\none."]

[models.shapes]
pipeline = "somewhere:Shapes"
input = "json"
parameters = { depth = "integer" }
example = { sides = 4 }
"""

NAME = "BAAI/Bge-small-en-v1.5"


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(redis_url=redis_url, data_dir=tmp_path, models_file=models)


async def submit(client: httpx.AsyncClient, key: str = "", **body: Any) -> dict[str, Any]:
    headers = {"idempotency-key": key} if key else {}
    answer = await client.post("/v1/jobs", json={"inputs": "a text", **body}, headers=headers)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def run_with(redis: ArqRedis, job: dict[str, Any]) -> dict[str, Any]:
    """The parameters in the job's payload."""
    payload = decode_payload(await redis.get(keys.JOB.of(job["id"])))
    parameters: dict[str, Any] = payload.k["parameters"]
    return parameters


@pytest.mark.parametrize("name", [NAME, "bge", "sentence-transformers/other"])
async def test_each_name_leads_to_the_models_queue(
    client: httpx.AsyncClient, redis: ArqRedis, name: str
) -> None:
    job = await submit(client, model=name)
    assert job["model"] == NAME
    assert await redis.zscore(f"batchline:queue:{NAME}", job["id"]) is not None
    assert (await client.get(job["urls"]["self"])).json()["model"] == NAME
    assert (await client.get("/v1/jobs")).json()["jobs"][0]["model"] == NAME


async def test_a_large_request_may_give_an_alias_too(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    job = await submit(client, model="bge", inputs=["a text " * 1_000] * 60)
    assert job["model"] == NAME
    assert await run_with(redis, job) == {"pooling": "cls", "normalize": True}


async def test_a_payload_says_what_is_run(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    assert await run_with(redis, await submit(client)) == {"pooling": "cls", "normalize": True}
    job = await submit(client, parameters={"normalize": False})
    assert await run_with(redis, job) == {"pooling": "cls", "normalize": False}
    job = await submit(client, model="labels")
    assert await run_with(redis, job) == {"candidate_labels": ["glad", "sad"]}


async def test_a_repeated_request_is_known_although_the_defaults_have_changed(
    client: httpx.AsyncClient, redis: ArqRedis, settings: Settings
) -> None:
    first = await submit(client, key="order-1")
    settings.models_file.write_text(MODELS.replace('"cls"', '"mean"'))
    async with mounted(settings) as (later, _):
        assert (await submit(later, key="order-1"))["id"] == first["id"]
        refused = await later.post(
            "/v1/jobs",
            json={"inputs": "a text", "parameters": {"pooling": "cls"}},
            headers={"idempotency-key": "order-1"},
        )
    assert refused.status_code == 422


async def test_the_listing_of_models_has_them(client: httpx.AsyncClient) -> None:
    models = (await client.get("/v1/models")).json()["models"]
    assert [model["name"] for model in models] == [NAME, "labels", "shapes"]
    assert models[0]["aliases"] == ["bge", "sentence-transformers/other"]
    assert models[0]["defaults"] == {"pooling": "cls", "normalize": True}
    assert (models[2]["aliases"], models[2]["defaults"]) == ([], {})


async def test_the_description_has_them(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    taken = [model["request"] for model in (await client.get("/v1/models")).json()["models"]]
    assert taken[0]["properties"]["model"] == {"enum": [NAME, "bge", "sentence-transformers/other"]}
    assert taken[0]["properties"]["parameters"]["properties"]["pooling"]["default"] == "cls"
    assert taken[1]["properties"]["parameters"]["required"] == []
    body = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"][NAME]["value"] == {"model": NAME, "inputs": "A sentence of ours."}
    assert body["examples"]["labels"]["value"]["inputs"] == ["One text.", "Another\none."]
    assert body["examples"]["shapes"]["value"] == {"model": "shapes", "inputs": {"sides": 4}}
    for example in body["examples"].values():
        assert (await client.post("/v1/jobs", json=example["value"])).status_code == 202
    page = parsed((await client.get("/docs")).text).text
    assert "by default true" in page


async def test_the_form_has_them(client: httpx.AsyncClient) -> None:
    page = parsed((await client.get("/try", params={"model": "bge"})).text)
    assert page.one("textarea", id="text").text.strip() == "A sentence of ours."
    assert "default: cls" in page.one("select", id="p.pooling").text
    sent = await client.post(
        "/submit", data={"model": NAME, "text": "a text", "mode": "one"}, follow_redirects=False
    )
    assert sent.status_code == 303, sent.text
    page = parsed((await client.get("/try", params={"model": "labels"})).text)
    assert page.one("textarea", id="text").text.strip() == "One text."
    page = parsed((await client.get("/try", params={"model": "shapes"})).text)
    assert page.one("textarea", id="text").text.strip() == '{"sides":4}'


async def test_pages_and_metrics_take_a_name_with_a_slash(client: httpx.AsyncClient) -> None:
    await submit(client)
    overview = parsed((await client.get("/", params={"model": NAME})).text)
    assert overview.one("tr", id=f"model-{NAME}")
    assert NAME in overview.one("section", id="recent-jobs").text
    for link in overview.all("a"):
        if "model=" in link["href"]:
            assert (await client.get(link["href"])).status_code == 200
    assert (await client.get("/fragments/served", params={"model": NAME})).status_code == 200
    metrics = (await client.get("/metrics")).text
    assert f'batchline_jobs_submitted_total{{model="{NAME}"}} 1.0' in metrics
    assert f'batchline_queue_jobs{{model="{NAME}",state="waiting"}} 1.0' in metrics
    assert (await client.get("/health/ready")).json()["checks"][f"model {NAME}"]["level"] == "bad"
