"""Tasks with other inputs than single texts, really served: documents for a query, images."""

import base64
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.tasks.examples import LANDSCAPE
from tests.api.markup import parsed
from tests.journey.conftest import Running
from tests.journey.test_story import submit
from tests.worker.engine.pipelines import tiny

RANK = {"query": "the bridge", "documents": ["we met in London", "the bridge was late", "one"]}
BROKEN = base64.b64encode(b"\xff\xd8\xff" + bytes(range(250)) * 4).decode()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    for task in ("text-ranking", "image-classification"):
        tiny.BUILDERS[task](folder / task)
    file = folder / "models.toml"
    file.write_text(
        '[models.rank]\ntask = "rerank"\nsource = "text-ranking"\ndevice = "cpu"\n'
        '[models.look]\ntask = "image-classification"\nsource = "image-classification"\ndevice = "cpu"\n'
        "max_input_bytes = 4_000_000\n"
    )
    return file


async def test_both_are_served(batchline: Running, redis: ArqRedis, models: Path) -> None:
    async with batchline(models) as client:
        await documents_are_ranked(client)
        await images_are_labelled(client)
        await pages_show_both(client)


async def documents_are_ranked(client: httpx.AsyncClient) -> None:
    models = {model["name"]: model for model in (await client.get("/v1/models")).json()["models"]}
    assert (models["rank"]["task"], models["rank"]["input"]) == ("text-ranking", "record")
    assert (models["look"]["input"], models["look"]["limits"]["max_input_bytes"]) == ("image", 4_000_000)

    [whole] = (await submit(client, RANK))["results"]
    assert [entry["index"] for entry in whole["output"]] == [0, 1, 2]
    ranked = await submit(
        client, [RANK] * 20, parameters={"top_k": 2, "return_documents": True}, model="rank"
    )
    assert ranked["counts"]["succeeded"] == 20
    assert ranked["batch"]["size"] > 1
    best = max(whole["output"], key=lambda entry: entry["score"])
    for result in ranked["results"]:
        first, second = result["output"]
        assert first["score"] == pytest.approx(best["score"], abs=1e-5)
        assert first["score"] >= second["score"]
        assert first["document"] == RANK["documents"][best["index"]]

    refused = await client.post("/v1/jobs", json={"model": "rank", "inputs": [RANK, {"query": "q"}]})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/inputs/1")
    empty = await submit(client, [RANK, {"query": "", "document": "d"}], model="rank")
    assert empty["counts"]["failed"] == 1
    assert empty["results"][1]["error"]["detail"] == "the query is empty"


async def images_are_labelled(client: httpx.AsyncClient) -> None:
    [alone] = (await submit(client, LANDSCAPE, model="look"))["results"]
    assert len(alone["output"]) == 5
    job = await submit(client, [LANDSCAPE, BROKEN, *[LANDSCAPE] * 10], model="look", parameters={"top_k": 5})
    assert job["counts"] == {"total": 12, "succeeded": 11, "failed": 1, "tokens": None}
    assert job["batch"]["size"] >= 1, "on a busy machine one image alone may be found to be the fastest"
    assert job["batch"]["padding"] is None
    assert job["results"][1]["error"]["detail"].startswith("the image is damaged")
    for result in job["results"][:1] + job["results"][2:]:
        assert [entry["label"] for entry in result["output"]] == [entry["label"] for entry in alone["output"]]

    photo = base64.b64encode(b"\xff\xd8\xff" + bytes(3_000_000)).decode()
    assert (await submit(client, photo, model="look"))["status"] == "failed", "accepted, though large"
    refused = await client.post("/v1/jobs", json={"model": "look", "inputs": "https://example.org/a.png"})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/inputs")
    too_large = await client.post("/v1/jobs", json={"model": "look", "inputs": photo * 2})
    assert too_large.status_code == 422
    assert "raise max_input_bytes in models.toml" in too_large.json()["detail"]


async def pages_show_both(client: httpx.AsyncClient) -> None:
    ranked = await submit(client, RANK, model="rank", keep_inputs=True)
    page = parsed((await client.get(ranked["urls"]["page"])).text)
    best = max(ranked["results"][0]["output"], key=lambda entry: entry["score"])
    assert page.one(class_="scores").all("li")[0].one(class_="label").text == RANK["documents"][best["index"]]
    look = await submit(client, LANDSCAPE, model="look", keep_inputs=True)
    page = parsed((await client.get(look["urls"]["page"])).text)
    assert page.one(class_="input").text == "PNG image, 128 bytes"
    assert len(page.one(class_="scores").all("li")) == 5
    for model in ("rank", "look"):
        form = parsed((await client.get(f"/try?model={model}")).text)
        assert form.all(class_="hint")[0].text.startswith("Each ")
        typed = {area["name"]: area.text for area in form.all("textarea") if area["name"].startswith("i.")}
        assert bool(typed) == (model == "rank"), "without a file the example is sent"
        sent = await client.post("/submit", data={"model": model, **typed})
        assert sent.status_code == 303
