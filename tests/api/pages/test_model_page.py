"""A model's page: all of its figures, why its inputs fail, its charts, workers and jobs."""

from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.monitoring.failures import FailureReason
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import parsed
from tests.api.pages.test_overview import (
    cells,
    counts,
    filter_links,
    read,
    recent_jobs,
    submitted,
    worked,
)
from tests.ledger import JobQueue, first_shard, heartbeat, run_one
from tests.ports import free_port

BROWSER = {"accept": "text/html"}


async def test_the_page_has_all_figures_of_the_model(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    done: dict[str, Any] = {
        "jobs": {"succeeded": 30},
        "items": 120,
        "batches": 15,
        "tokens": 300,
        "padded_tokens": 400,
        "queued": counts(3, 30),
        "compute": counts(6, 30),
        "budget": 768,
        "threads": 2,
    }
    await worked(redis, queue, **done)
    await Roster(first_shard(redis)).write(heartbeat("other", "shapes"))
    await submitted(client)
    for address in ("/models/sentiment", "/fragments/overview?model=sentiment"):
        page = await read(client, address)
        card = page.one("article", id="model-sentiment")
        assert card.one(class_="busy").text == "busy"
        facts = {row.one("dt").text: row.one("dd").text for row in card.all("div")}
        assert (facts["waiting"], facts["running"]) == ("1 job", "0 jobs")
        assert facts["done"].endswith("jobs/s")
        assert float(facts["done"].split()[0].replace(",", "")) > 0
        assert (facts["batch size"], facts["padding"]) == ("8.0 inputs", "25 %")
        assert (facts["token budget"], facts["runs on"]) == ("768 tokens", "cpu float32, 2 threads")
        rows = [row.text for row in card.one("tbody").all("tr")]
        assert rows == ["queued ≤ 5 ms ≤ 5 ms", "computing ≤ 35 ms ≤ 35 ms"]
        assert all(term["title"] for term in card.all("abbr")), "each figure is explained"
        assert [row["id"] for row in page.one("table", class_="workers").one("tbody").all("tr")] == [
            "worker-host-1"
        ]
    page = await read(client, "/models/sentiment")
    assert page.one("h1").text == "sentiment"
    assert "Says whether a text is <b>glad</b>" in page.one("header", class_="about").text
    assert page.one("a", href="/try?model=sentiment").text == "Try it"
    assert page.one(id="charts")["hx-get"] == "/fragments/charts?model=sentiment"
    assert len(page.one(id="charts").all("svg", role="img")) == 6
    explained = {name for term in page.one(class_="legend").all("dt") for name in term.text.split(", ")}
    assert facts.keys() - {"inputs"} <= explained


async def test_the_page_has_all_reasons_why_inputs_failed(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    seconds, _ = await redis.time()
    reasons = [
        FailureReason("engine-died", "SIGSEGV", 1, "long-gone", seconds - 7_200.0),
        FailureReason("too-large", "", 2, "job-0", seconds - 60.0),
        FailureReason("input-failed", "<b>12 o'clock</b> is no number", 30, "job-1", seconds - 5.0),
    ]
    await Roster(first_shard(redis)).write(
        heartbeat(failures=reasons, inputs=90, inputs_failed={"input-failed": 33})
    )
    page = await read(client, "/models/sentiment")
    [newest, older] = page.one("article", id="model-sentiment").one(class_="failures").all("li")
    assert newest.one("b").text.startswith("30 ")
    assert "The pipeline failed on this input: <b>12 o'clock</b> is no number" in newest.text
    assert (newest.one("a")["href"], older.one("a")["href"]) == ("/jobs/job-1", "/jobs/job-0")
    [model, _] = (await client.get("/v1/models")).json()["models"]
    assert [(each["type"], each["inputs"], each["job"]) for each in model["failures"]] == [
        ("urn:batchline:problem:input-failed", 30, "job-1"),
        ("urn:batchline:problem:too-large", 2, "job-0"),
        ("urn:batchline:problem:engine-died", 1, "long-gone"),
    ]


async def test_the_health_line_is_about_this_model(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    await Roster(first_shard(redis)).write(heartbeat("other", "shapes"))
    health = (await read(client, "/models/shapes")).one("section", class_="health")
    assert health.text == "All is well. Redis answers, and the model has a worker that is ready."
    assert (
        "No live worker for sentiment"
        in (await read(client, "/models/sentiment")).one("section", class_="bad").text
    )
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        page = await read(client, "/models/shapes")
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
    assert "set maxmemory-policy to noeviction" in page.one("section", class_="warn").text, "Redis is shared"


async def test_the_jobs_are_of_this_model_and_can_be_filtered(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    done = await submitted(client)
    await run_one(queue)
    waiting, other = await submitted(client), await submitted(client, model="shapes", inputs=[1])

    page = await read(client, "/models/sentiment")
    links = filter_links(page)
    assert "shapes" not in links
    assert await recent_jobs(client, links["all"]) == {done, waiting}
    assert await recent_jobs(client, links["queued"]) == {waiting}
    assert await recent_jobs(client, "/models/shapes") == {other}
    page = await read(client, "/models/shapes?state=failed")
    assert page.one(id="recent")["hx-get"] == "/fragments/recent?state=failed&model=shapes"
    assert page.one(id="recent").one(class_="more").text == "No failed job of shapes."


@pytest.mark.parametrize("address", ["/models/nix", "/models/", "/models/<script>alert(1)</script>"])
async def test_a_model_that_is_not_served_has_no_page(client: httpx.AsyncClient, address: str) -> None:
    answer = await client.get(address, headers=BROWSER)
    assert answer.status_code == 404
    assert "is served; known: sentiment, shapes" in parsed(answer.text).one("main").text
    assert "<script>alert" not in answer.text


async def test_names_with_a_slash_and_aliases_lead_to_the_page(settings: Settings) -> None:
    assert settings.models_file is not None
    settings.models_file.write_text("""
[models."org/name"]
pipeline = "somewhere:Shapes"
aliases = ["short", "other/name"]

[models.second]
pipeline = "somewhere:Shapes"
""")
    async with mounted(settings) as (client, _):
        row = (await read(client)).one("tr", id="model-org/name")
        page = await read(client, row.one("a")["href"])
        assert page.one("h1").text == "org/name"
        for part in ("overview", "charts", "recent"):
            assert (await client.get(page.one(id=part)["hx-get"])).status_code == 200
        for link in page.one("main").all("a"):
            assert (await client.get(link["href"])).status_code == 200
        for alias in ("short", "other/name", "org/name/", "short/"):
            answer = await client.get(f"/models/{alias}?state=failed")
            assert (answer.status_code, answer.headers["location"]) == (303, "/models/org/name?state=failed")


async def test_a_fragment_of_a_model_that_is_no_longer_served_is_refused(client: httpx.AsyncClient) -> None:
    """Figures of another model must not appear under its name."""
    for part in ("overview", "charts"):
        answer = await client.get(f"/fragments/{part}?model=nix")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_the_page_says_that_redis_cannot_be_reached(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    async with mounted(gone) as (client, _):
        answer = await client.get("/models/sentiment")
        assert answer.status_code == 503
        page = parsed(answer.text)
        assert "Redis cannot be reached" in page.one("section", class_="bad").text
        for part in ("charts", "recent"):
            assert page.one(id=part).text.endswith("in Redis, which cannot be reached.")
        assert (await client.get("/fragments/overview?model=sentiment")).status_code == 503


async def test_a_retired_model_says_so_on_its_page(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    await Roster(first_shard(redis)).write(heartbeat("well", "shapes"))
    fault: dict[str, Any] = {"engine_fault": "No module named 'nix'", "engine_retry": 1_700_000_000.0}
    await Roster(first_shard(redis)).write(heartbeat(engine="retired", **fault))
    page = await read(client, "/models/sentiment")
    assert page.one("article", id="model-sentiment").one(class_="retired").text == "retired"
    assert cells(page.one("tr", id="worker-host-1"))["Engine"] == "retired again at 22:13:20 UTC"
    reason = "sentiment is retired: No module named 'nix'; it is loaded again at 22:13:20 UTC."
    assert page.one("section", class_="bad").text == reason
