"""The overview: one line of health with its reasons, tables of models, workers and recent jobs."""

from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from api.pages.fragments import SHOWN
from jobs.ledger import keys
from jobs.monitoring.failures import FailureReason
from jobs.monitoring.histograms import LATENCIES, count
from jobs.monitoring.history import History
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import Element, parsed
from tests.ledger import JobQueue, first_shard, heartbeat, run_one
from tests.waiting import until


async def submitted(client: httpx.AsyncClient, **asked: object) -> str:
    return str((await client.post("/v1/jobs", json={"inputs": "x", **asked})).json()["id"])


async def read(client: httpx.AsyncClient, address: str = "/") -> Element:
    page = await client.get(address)
    assert page.status_code == 200
    return parsed(page.text)


async def recent_jobs(client: httpx.AsyncClient, address: str) -> set[str]:
    """The ids in the table of recent jobs."""
    rows = (await read(client, address)).one(id="recent").all("tr")
    return {row["id"].removeprefix("job-") for row in rows if "id" in row.attributes}


def filter_links(page: Element) -> dict[str, str]:
    """The text and address of each filter of the recent jobs."""
    return {link.text: link["href"] for link in page.one("nav", aria_label="Filter the recent jobs").all("a")}


def counts(bucket: int, jobs: int) -> list[int]:
    return [jobs if i == bucket else 0 for i in range(len(LATENCIES) + 1)]


def cells(row: Element) -> dict[str, str]:
    """The row's cells by the names that a phone shows beside them."""
    return {cell["data-label"]: cell.text for cell in row.all("td")}


async def worked(redis: ArqRedis, queue: JobQueue, **done: Any) -> None:
    """The worker `host-1` of `sentiment` reports this work, after a sample that has none of it."""
    roster, history = Roster(first_shard(redis)), History(queue.shards)
    await roster.write(heartbeat(engine="busy"))

    async def seen() -> bool:  # by the first to sample, this test or the API itself
        await redis.delete(keys.SAMPLING.of("sentiment"))
        await history.record()
        return "host-1" in (await history.read())["sentiment"].seen

    await until(seen)
    await roster.write(heartbeat(engine="busy", **done))


async def test_each_model_and_each_worker_has_a_row(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    done: dict[str, Any] = {"jobs": {"succeeded": 30}, "items": 120, "batches": 15, "queued": counts(3, 30)}
    await worked(redis, queue, **done, leases=5, window=17, engine_restarts=3)
    await submitted(client)
    await run_one(queue)
    waiting = await submitted(client)

    for address in ("/", "/fragments/overview"):
        page = await read(client, address)
        row = page.one("tr", id="model-sentiment")
        figures = cells(row)
        assert figures["Model"] == "sentiment text-classification"
        assert (figures["State"], figures["Waiting"], figures["Running"]) == ("busy", "1", "0")
        assert float(figures["Jobs/s"].replace(",", "")) > 0
        assert float(figures["Inputs/s"].replace(",", "")) > 0
        assert (figures["Queued p50"], figures["Queued p95"]) == ("≤ 5 ms", "≤ 5 ms")
        assert (figures["Failed"], figures["Waiting, 15 min"]) == ("–", "1")  # noqa: RUF001 - a dash
        assert row.one("svg")["aria-label"] == "Waiting jobs, last 15 minutes: at most 1 job"
        assert row.one("a", href="/models/sentiment")
        assert cells(page.one("tr", id="model-shapes"))["State"] == "no worker"
        worker = cells(page.one("tr", id="worker-host-1"))
        assert (worker["Leases"], worker["Window"], worker["Restarts"]) == ("5 jobs", "17 inputs", "3")
        assert worker["Last seen"] == "0 s ago"
        for name in ("Waiting", "Running", "Jobs/s", "Queued p50", "Leases", "Last seen"):
            [term] = [each for each in page.all("abbr") if each.text == name]
            assert term["title"], "each figure is explained"
    page = await read(client)
    assert page.one("a", href=f"/jobs/{waiting}")
    assert page.all(id="charts") == [], "with several models, the charts are on the page of each"
    explained = {name for term in page.one(class_="legend").all("dt") for name in term.text.split(", ")}
    explained |= {"jobs/s", "waiting, 15 min", "queued p50", "queued p95"}
    plain = {"worker", "model", "engine", "job", "state", "inputs"}
    assert {head.text.lower() for head in page.all("th", scope="col")} - plain <= explained


async def test_the_shown_percentiles_do_not_contradict_the_only_job(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    """Once, one job of 21 ms was reported as `p50 28 ms`."""
    took = [0] * (len(LATENCIES) + 1)
    count(took, LATENCIES, 0.021)
    await worked(redis, queue, jobs={"succeeded": 1}, queued=took, compute=took)
    figures = cells((await read(client, "/fragments/overview")).one("tr", id="model-sentiment"))
    assert (figures["Queued p50"], figures["Queued p95"]) == ("≤ 35 ms", "≤ 35 ms")


async def test_the_row_of_a_model_whose_inputs_fail_says_why(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    seconds, _ = await redis.time()
    reasons = [
        FailureReason("input-failed", "<b>12 o'clock</b> is no number", 30, "job-1", seconds - 5.0),
        FailureReason("engine-died", "SIGSEGV", 1, "job-old", seconds - 60.0),
    ]
    failed: dict[str, Any] = {"inputs": 90, "inputs_failed": {"input-failed": 31}, "failures": reasons}
    await worked(redis, queue, jobs={"succeeded": 9}, **failed)
    page = await read(client, "/fragments/overview")
    share = page.one("tr", id="model-sentiment").one(class_="amber")
    assert (share.text, share["title"]) == ("34 %", "31 of 90 inputs")
    why = page.one("tr", id="why-sentiment")
    assert why.text.endswith("The pipeline failed on this input: <b>12 o'clock</b> is no number")
    assert why.one("a")["href"] == "/jobs/job-1"
    assert page.all("tr", id="why-shapes") == []
    assert cells(page.one("tr", id="worker-host-1"))["Failed"] == "31 of 90"


async def test_the_row_of_a_job_whose_inputs_failed_says_why(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    """In one line, from the first input that failed."""
    await submitted(client, inputs=["x", "y"])
    claimed = await run_one(
        queue, [{"output": "x"}, {"error": {"detail": "no\n<i>colours</i> " + 200 * "x"}}]
    )
    assert claimed is not None
    for address in ("/", "/fragments/recent", "/jobs"):
        page = await read(client, address)
        assert page.one("tr", id=f"job-{claimed.id}").one(class_="partial").text == "1 of 2 failed"
        reason = page.one("tr", id=f"why-{claimed.id}").text
        assert (len(reason) <= 140, "<i>colours</i>" in reason) == (True, True)


async def test_with_one_model_the_overview_has_its_charts(settings: Settings) -> None:
    assert settings.models_file is not None
    models = settings.models_file.read_text().split("[models.shapes]")[0]
    settings.models_file.write_text(models)
    async with mounted(settings) as (client, _):
        page = await read(client)
        assert page.one(id="charts")["hx-get"] == "/fragments/charts?model=sentiment"
        assert len(page.one(id="charts").all("svg", role="img")) == 6
        jobs = await read(client, "/jobs")
        assert "every model" not in [
            link.text for link in jobs.one("nav", aria_label="Filter the jobs").all("a")
        ]


async def test_a_retired_model_says_why_and_when_it_is_loaded_again(
    client: httpx.AsyncClient, redis: ArqRedis
) -> None:
    fault: dict[str, Any] = {
        "engine": "retired",
        "engine_fault": "No module named 'nix'",
        "engine_retry": 1_700_000_000.0,
    }
    restarts: dict[str, Any] = {"engine_restarts": 3, "restart_reasons": {"memory": 2, "crashed": 1}}
    await Roster(first_shard(redis)).write(heartbeat("well", "shapes"))
    await Roster(first_shard(redis)).write(heartbeat(**fault, **restarts))
    reason = "sentiment is retired: No module named 'nix'; it is loaded again at 22:13:20 UTC"
    page = await read(client, "/fragments/overview")
    assert page.one("section", class_="warn").text == f"{reason}."
    assert page.one("tr", id="model-sentiment").one(class_="retired").text == "retired"
    worker = cells(page.one("tr", id="worker-host-1"))
    assert (worker["Engine"], worker["Restarts"]) == (
        "retired again at 22:13:20 UTC",
        "3 1 crashed, 2 memory",
    )
    waiting = await submitted(client)
    assert reason in (await read(client, f"/jobs/{waiting}")).one("p", class_="bad").text
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded"), "the other model can be run"
    assert not answer.json()["checks"]["model sentiment"]["ok"]
    await Roster(first_shard(redis)).remove("well")
    assert (await client.get("/health/ready")).status_code == 503


async def test_filters_are_plain_links_that_any_browser_follows(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    done = await submitted(client)
    await run_one(queue)
    waiting, other = await submitted(client), await submitted(client, model="shapes", inputs=[1])

    page = await read(client)
    links = filter_links(page)
    assert await recent_jobs(client, links["all"]) == {done, waiting, other}
    assert await recent_jobs(client, links["succeeded"]) == {done}
    assert await recent_jobs(client, links["queued"]) == {waiting, other}
    assert await recent_jobs(client, "/?model=shapes") == {other}
    assert await recent_jobs(client, "/?state=queued&model=sentiment") == {waiting}
    assert await recent_jobs(client, "/?state=nix&model=<script>") == {done, waiting, other}, (
        "what is no filter is none"
    )

    page = await read(client, "/?state=failed&model=shapes")
    current = page.one("nav", aria_label="Filter the recent jobs").all("a", aria_current="true")
    assert [link.text for link in current] == ["failed"]
    others = {link["href"] for link in page.one("nav", aria_label="Filter the recent jobs").all("a")}
    assert {"/?state=queued&model=shapes#recent-jobs", "/?model=shapes#recent-jobs"} <= others
    assert page.one(id="recent")["hx-get"] == "/fragments/recent?state=failed&model=shapes"
    assert page.one(id="recent").one(class_="more").text == "No failed job of shapes."


async def test_a_filter_says_how_far_it_looks(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that it does not find may be there, farther down."""
    monkeypatch.setattr("jobs.ledger.listing.SEARCHED", 3)
    old = await submitted(client, model="shapes", inputs=[1])
    new = [await submitted(client) for _ in range(3)]

    page = await read(client, "/fragments/recent?model=shapes")
    assert page.text.endswith("No job of shapes among the newest 3 jobs. Search older jobs")
    assert page.one("a", href="/jobs?model=shapes").text == "Search older jobs"
    page = await read(client, "/fragments/recent?state=queued")
    assert page.text.endswith("These are all among the newest 3 jobs. Search older jobs")
    await client.delete(f"/v1/jobs/{new[0]}")
    monkeypatch.setattr("jobs.ledger.listing.SEARCHED", 300)
    assert "newest" not in (await read(client, "/fragments/recent")).text, "that has no filter"
    page = await read(client, "/fragments/recent?model=shapes")
    assert "newest" not in page.text
    assert old[-7:] in page.text


async def test_the_table_has_the_newest_jobs_however_many_there_are(client: httpx.AsyncClient) -> None:
    ids = [await submitted(client) for _ in range(SHOWN + 3)]
    rows = (await read(client, "/fragments/recent")).one("tbody").all("tr")
    assert [row["id"] for row in rows] == [f"job-{job_id}" for job_id in reversed(ids[3:])]


async def test_addresses_of_earlier_releases_lead_to_a_model(client: httpx.AsyncClient) -> None:
    """The overview once had the charts of any model."""
    for old, new in (
        ("/?charts=shapes", "/models/shapes"),
        ("/?state=failed&model=sentiment&charts=shapes", "/models/shapes?state=failed"),
    ):
        answer = await client.get(old)
        assert (answer.status_code, answer.headers["location"]) == (303, new)
    assert (await client.get("/?charts=nix")).status_code == 200


async def test_an_empty_overview_says_where_to_begin(client: httpx.AsyncClient) -> None:
    page = await read(client)
    assert page.one(id="recent").one("a", href="/try").text == "Submit the first one"
    assert "No live worker for sentiment." in page.one("section", class_="bad").text
