"""The overview: one line of health with its reasons, figures of models and workers, charts, filtered jobs."""

from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from api.pages.charts import GAP, HEIGHT, SPAN, WIDTH, charts, paths, rounded_up
from api.pages.job_table import SHOWN
from jobs.ledger import keys
from jobs.ledger.queues import Depth
from jobs.monitoring.failures import FailureReason
from jobs.monitoring.histograms import LATENCIES
from jobs.monitoring.history import History, Moment, Sample, Series
from jobs.monitoring.roster import Roster
from jobs.monitoring.work import Work
from tests.api.markup import Element, parsed
from tests.ledger import JobQueue, heartbeat, run_one
from tests.waiting import until


async def submitted(client: httpx.AsyncClient, **asked: object) -> str:
    return str((await client.post("/v1/jobs", json={"inputs": "x", **asked})).json()["id"])


async def read(client: httpx.AsyncClient, address: str = "/") -> Element:
    page = await client.get(address)
    assert page.status_code == 200
    return parsed(page.text)


def counts(bucket: int, count: int) -> list[int]:
    return [count if i == bucket else 0 for i in range(len(LATENCIES) + 1)]


async def test_the_overview_shows_what_goes_on(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    roster, history = Roster(redis), History(queue)
    await roster.write(heartbeat(engine="busy"))

    async def seen() -> bool:  # by whoever samples first, this test or the API's own sweeper
        await redis.delete(keys.SAMPLING.of("sentiment"))
        await history.record()
        return "host-1" in (await history.read())["sentiment"].seen

    await until(seen)
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
        "leases": 5,
        "window": 17,
        "engine_restarts": 3,
    }
    await roster.write(heartbeat(engine="busy", **done))
    await submitted(client)
    await run_one(queue)
    waiting = await submitted(client)

    for address in ("/", "/fragments/overview"):
        page = await read(client, address)
        card = page.one("article", id="model-sentiment")
        assert card.one(class_="busy").text == "busy"
        facts = {row.one("dt").text: row.one("dd").text for row in card.all("div")}
        assert facts["waiting"] == "1 job"
        assert facts["running"] == "0 jobs"
        assert facts["done"].endswith("jobs/s")
        assert float(facts["done"].split()[0].replace(",", "")) > 0
        assert (facts["batch size"], facts["padding"]) == ("8.0 inputs", "25 %")
        assert (facts["token budget"], facts["runs on"]) == ("768 tokens", "cpu float32, 2 threads")
        rows = [row.text for row in card.one("tbody").all("tr")]
        assert rows == ["queued 3.5 ms 4.9 ms", "computing 28 ms 34 ms"]
        for name in ("waiting", "done", "queued", "padding"):
            [term] = [each for each in card.all("abbr") if each.text == name]
            assert term["title"], "each figure is explained"
        assert page.one("article", id="model-shapes").one(class_="no-worker").text == "no worker"
        worker = {cell["data-label"]: cell.text for cell in page.one("tr", id="worker-host-1").all("td")}
        assert (worker["Leases"], worker["Window"], worker["Restarts"]) == ("5 jobs", "17 inputs", "3")
        assert worker["Heard from"] == "0 s ago"
    page = await read(client)
    assert page.one("a", href=f"/jobs/{waiting}")
    explained = {term.text for term in page.one(class_="legend").all("dt")}
    columns = {head.text.lower() for head in page.all("th", scope="col")} - {"last minute", "p50", "p95"}
    plain = {"worker", "model", "engine", "job", "state", "inputs"}
    assert columns - plain <= explained
    for figure in facts:
        assert [
            term for term in page.one(class_="legend").all("dt") if term.text == figure
        ] or figure == "inputs"


async def test_why_inputs_fail_stands_beside_the_model(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    seconds, _ = await redis.time()
    reasons = [
        FailureReason("engine-died", "SIGSEGV", 1, "long-gone", seconds - 7_200.0),
        FailureReason("input-failed", "<b>12 o'clock</b> is no number", 30, "job-1", seconds - 5.0),
    ]
    await Roster(redis).write(heartbeat(failures=reasons, inputs=90, inputs_failed={"input-failed": 31}))
    page = await read(client, "/fragments/overview")
    [told] = page.one("article", id="model-sentiment").one(class_="failures").all("li")
    assert told.one("b").text.startswith("30 ")
    assert "The pipeline failed on this input: <b>12 o'clock</b> is no number" in told.text
    assert told.one("a")["href"] == "/jobs/job-1"
    worker = {cell["data-label"]: cell.text for cell in page.one("tr", id="worker-host-1").all("td")}
    assert worker["Failed"] == "31 of 90"
    [model, _] = (await client.get("/v1/models")).json()["models"]
    assert [(each["type"], each["inputs"], each["job"]) for each in model["failures"]] == [
        ("urn:batchline:problem:input-failed", 30, "job-1"),
        ("urn:batchline:problem:engine-died", 1, "long-gone"),
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
    await Roster(redis).write(heartbeat("well", "shapes"))
    await Roster(redis).write(heartbeat(**fault, **restarts))
    told = "sentiment is retired: No module named 'nix'; it is loaded again at 22:13:20 UTC"
    page = await read(client, "/fragments/overview")
    assert page.one("section", class_="warn").text == f"{told}."
    assert page.one("article", id="model-sentiment").one(class_="retired").text == "retired"
    worker = {cell["data-label"]: cell.text for cell in page.one("tr", id="worker-host-1").all("td")}
    assert (worker["Engine"], worker["Restarts"]) == (
        "retired again at 22:13:20 UTC",
        "3 1 crashed, 2 memory",
    )
    waiting = await submitted(client)
    assert told in (await read(client, f"/jobs/{waiting}")).one("p", class_="bad").text
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded"), "the other model can be run"
    assert not answer.json()["checks"]["model sentiment"]["ok"]
    await Roster(redis).remove("well")
    assert (await client.get("/health/ready")).status_code == 503


async def test_filters_are_plain_links_that_any_browser_follows(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    done = await submitted(client)
    await run_one(queue)
    waiting, other = await submitted(client), await submitted(client, model="shapes", inputs=[1])

    async def shown(address: str) -> set[str]:
        rows = (await read(client, address)).one(id="recent").all("tr")
        return {row["id"].removeprefix("job-") for row in rows if "id" in row.attributes}

    page = await read(client)
    links = {
        link.text: link["href"] for link in page.one("nav", aria_label="Filter the recent jobs").all("a")
    }
    assert await shown(links["all"]) == {done, waiting, other}
    assert await shown(links["succeeded"]) == {done}
    assert await shown(links["queued"]) == {waiting, other}
    assert await shown(links["shapes"]) == {other}
    assert await shown("/?state=queued&model=sentiment") == {waiting}
    assert await shown("/?state=nix&model=<script>") == {done, waiting, other}, "what is no filter is none"

    page = await read(client, "/?state=failed&model=shapes")
    current = page.one("nav", aria_label="Filter the recent jobs").all("a", aria_current="true")
    assert [link.text for link in current] == ["failed", "shapes"]
    assert page.one(id="recent")["hx-get"] == "/fragments/recent?state=failed&model=shapes"
    assert page.one(id="recent").one(class_="more").text == "No failed job of shapes."


async def test_a_filter_says_how_far_it_looks(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that it does not find may be there, farther down."""
    monkeypatch.setattr("jobs.ledger.listing.SEARCHED", 3)
    old = await submitted(client, model="shapes", inputs=[1])
    new = [await submitted(client) for _ in range(3)]

    async def told(address: str) -> str:
        return (await read(client, address)).text

    assert (await told("/fragments/recent?model=shapes")).endswith(
        "No job of shapes among the newest 3; a filter looks no further."
    )
    page = await told("/fragments/recent?state=queued")
    assert page.endswith("All that there are among the newest 3 jobs; a filter looks no further.")
    await client.delete(f"/v1/jobs/{new[0]}")
    monkeypatch.setattr("jobs.ledger.listing.SEARCHED", 300)
    assert "newest" not in await told("/fragments/recent"), "that has no filter"
    assert "newest" not in await told("/fragments/recent?model=shapes")
    assert old[-7:] in await told("/fragments/recent?model=shapes")


async def test_the_table_has_the_newest_jobs_however_many_there_are(client: httpx.AsyncClient) -> None:
    ids = [await submitted(client) for _ in range(SHOWN + 3)]
    rows = (await read(client, "/fragments/recent")).one("tbody").all("tr")
    assert [row["id"] for row in rows] == [f"job-{job_id}" for job_id in reversed(ids[3:])]


async def test_an_empty_overview_says_where_to_begin(client: httpx.AsyncClient) -> None:
    page = await read(client)
    assert page.one(id="recent").one("a", href="/try").text == "Submit the first one"
    assert "No live worker for sentiment." in page.one("section", class_="bad").text
    assert "Says whether a text is <b>glad</b>" in page.one("article", id="model-sentiment").text


def test_a_chart_has_a_line_where_there_are_samples_and_none_across_a_gap() -> None:
    now = 10_000.0
    points = [(now - SPAN, 0.0), (now - SPAN + GAP, 5.0), (now - 60, None), (now - 5, 10.0), (now, None)]
    joined, dots = paths(points, now, 10.0)
    assert joined == f"M0.0 {HEIGHT}L{WIDTH * GAP / SPAN:.1f} {HEIGHT / 2}"
    assert dots == "M298.3 0.0h0", "what has no neighbour is a dot"
    joined, dots = paths([(now - 5, 10.0), (now, 10.0)], now, 10.0)
    assert (joined, dots) == ("M298.3 0.0L300.0 0.0", "M298.3 0.0h0M300.0 0.0h0"), (
        "a line so short is a speck"
    )
    assert [rounded_up(value) for value in (0, 0.3, 1.5, 7, 20, 21)] == [1, 1, 2, 10, 20, 50]


async def test_charts_say_in_words_what_they_draw(client: httpx.AsyncClient) -> None:
    work = Work(jobs=10, items=40, batches=5, tokens=80, padded=100, queued=counts(3, 10), inputs_failed=3)
    moments = [
        Moment(900.0, 0.0, Sample(Depth(1, 0, 0, 0), 1, Work())),
        Moment(995.0, 5.0, Sample(Depth(1_234, 1, 7, 0), 1, work)),
    ]
    drawn = {chart.title: chart for chart in charts(Series(1_000.0, moments, {}))}
    assert (
        drawn["Queue"].summary
        == "Queue, last 15 minutes: now waiting 1,235 jobs, running 7 jobs; highest 1,235 jobs"
    )
    assert drawn["Queue"].top == "2,000 jobs"
    assert drawn["Queue"].points == "900.0|1 job|0 jobs;995.0|1,235 jobs|7 jobs"
    assert [line.last for line in drawn["Done"].lines] == ["2/s", "8/s", "0.6/s"]
    assert [line.last for line in drawn["Queued"].lines] == ["3.5 ms", "4.9 ms"]
    assert [line.last for line in drawn["Padding"].lines] == ["20 %"]

    before = (await read(client, "/fragments/charts")).one("svg", id="chart-queue")["aria-label"]
    await submitted(client)
    after = (await read(client, "/fragments/charts")).one("svg", id="chart-queue")["aria-label"]
    assert "now waiting 0 jobs" in before
    assert "now waiting 1 job," in after, "no sample has it yet"

    page = await read(client, "/fragments/charts?charts=shapes")
    assert len(page.all("svg", role="img")) == len(drawn)
    named = await read(client, "/?charts=shapes")
    assert named.one(id="charts")["hx-get"] == "/fragments/charts?charts=shapes"
