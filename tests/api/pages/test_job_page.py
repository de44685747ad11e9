"""A job's page: what it shows from start to end, and the lines that fetch or repeat the job."""

import asyncio
import re
import shlex

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.leasing import Progress
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from tests.api.markup import Element, parsed
from tests.ledger import JobQueue, ending, first_shard, heartbeat, run_one

HERE = {"sec-fetch-site": "same-origin"}
HTMX = HERE | {"hx-request": "true"}


async def submitted(client: httpx.AsyncClient, inputs: object = "x", **asked: object) -> str:
    return str((await client.post("/v1/jobs", json={"inputs": inputs, **asked})).json()["id"])


async def read(client: httpx.AsyncClient, job_id: str) -> Element:
    return parsed((await client.get(f"/jobs/{job_id}")).text)


async def test_a_jobs_page_shows_it_from_start_to_end(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job_id = await submitted(client, ["good", "bad"], keep_inputs=True)
    page = await read(client, job_id)
    assert page.one("h1").text == "Job queued"
    assert page.one("form", action=f"/jobs/{job_id}/cancel")
    assert page.one(id="job")["hx-get"] == f"/fragments/jobs/{job_id}"
    assert "position 1 in the queue" in page.one(class_="timeline").text

    error = {"error": {"title": "It failed", "detail": "too strange a text"}}
    await run_one(queue, [{"output": [{"label": "POSITIVE", "score": 0.987}]}, error])
    for address, status in ((f"/jobs/{job_id}", 200), (f"/fragments/jobs/{job_id}", 286)):
        answer = await client.get(address)
        assert answer.status_code == status, "286 ends htmx's polling"
        page = parsed(answer.text)
        assert "hx-get" not in page.one(id="job").attributes
        assert page.one("h1").text == "Job succeeded 1 of 2 failed"
        steps = [step.text for step in page.one(class_="timeline").all("li")]
        assert [step.split()[0] for step in steps] == ["Queued", "Started", "Succeeded"]
        assert "1.5 ms computing" in steps[2]
        batch = "Batch Micro-batches of 2 inputs on average; 25 % of the tokens were padding."
        assert page.one(class_="batch").text == batch, "the size is a mean: whether it was one is not known"
        first, second = page.one(class_="pairs").one("tbody").all("tr")
        assert (first.text, first.one("rect")["width"]) == ("1 good POSITIVE 0.987", "0.987")
        assert second.one(class_="fault").text == "too strange a text"
        assert "1 of 2 inputs failed." in page.text
        assert page.all("form") == []


@pytest.mark.parametrize("done", [False, True])
async def test_a_large_job_says_what_its_json_has(
    client: httpx.AsyncClient, queue: JobQueue, done: bool
) -> None:
    job_id = await submitted(client, inputs=["x"] * 30, keep_inputs=True)
    if done:
        await run_one(queue)
    told = (await read(client, job_id)).one(class_="more").text
    has = "has" if done else "will have"
    assert told == f"and 5 more inputs; the job as JSON {has} all results, but not the inputs"
    await client.delete(f"/v1/jobs/{job_id}")
    if not done:
        assert (await read(client, job_id)).one(class_="more").text == "and 5 more inputs", "it has none"


async def test_a_refresh_comes_as_soon_as_the_job_ends(client: httpx.AsyncClient, queue: JobQueue) -> None:
    """It is held for up to a second, so the page need not ask often."""
    job_id = await submitted(client)
    refresh = asyncio.create_task(client.get(f"/fragments/jobs/{job_id}"))
    await asyncio.sleep(0)
    await run_one(queue)
    page = await refresh
    while page.status_code == 200:  # a slow machine: the hold was over before
        page = await client.get(f"/fragments/jobs/{job_id}")
    assert parsed(page.text).one("h1").text == "Job succeeded"


@pytest.mark.parametrize(("state", "words"), [("cancelled", "The job was cancelled"), ("failed", "no good")])
async def test_a_bad_end_is_told_in_words(
    client: httpx.AsyncClient, queue: JobQueue, state: str, words: str
) -> None:
    job_id = await submitted(client)
    if state == "failed":
        await run_one(queue, [{"error": {"detail": "no good"}}])
    else:
        await client.delete(f"/v1/jobs/{job_id}")
    page = await read(client, job_id)
    assert words in page.text
    assert page.one("h1").text == f"Job {state}"


@pytest.mark.parametrize("frozen", [False, True])
async def test_no_more_is_told_of_a_start_than_is_known(
    client: httpx.AsyncClient, queue: JobQueue, redis: ArqRedis, frozen: bool
) -> None:
    """A worker that froze may have begun a job whose lease then ran out before an attempt was charged."""
    job_id = await submitted(client)
    if frozen:
        [claimed], _ = await queue.claim("sentiment", 1)
        assert "Started" in (await read(client, job_id)).one(class_="timeline").text
        queue_key = keys.QUEUE.of("sentiment")
        await redis.zadd(queue_key, {claimed.id: keys.RUNNING + 1})
        given_back = 0
        while not given_back and (await queue.read(job_id)).started_at:  # the API sweeps as well
            given_back, *_ = await queue.sweep("sentiment")
    await client.delete(f"/v1/jobs/{job_id}")
    page = await read(client, job_id)
    start = page.one(class_="timeline").all("li")[1].text
    assert start == "No start no worker reported a start"
    assert "never" not in page.text.lower()
    assert "before it started" not in page.text


async def test_the_cancel_button_works_with_and_without_javascript(client: httpx.AsyncClient) -> None:
    first, second = await submitted(client), await submitted(client)
    plain = await client.post(f"/jobs/{first}/cancel", headers=HERE)
    assert (plain.status_code, plain.headers["location"]) == (303, f"/jobs/{first}")
    swapped = await client.post(f"/jobs/{second}/cancel", headers=HTMX)
    assert swapped.status_code == 200
    assert parsed(swapped.text).one("h1").text == "Job cancelled"
    for job_id in (first, second):
        assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "cancelled"


async def test_the_curl_lines_are_what_a_shell_would_send(client: httpx.AsyncClient, queue: JobQueue) -> None:
    evil = 'it\'s "quoted" $(rm -rf /) `ls`\n\\'
    job_id = await submitted(client, evil, parameters={"top_k": 2})
    page = await read(client, job_id)
    assert shlex.split(page.one("pre", id="curl-fetch").text) == [
        "curl",
        "-s",
        f"http://edge/v1/jobs/{job_id}",
    ]
    [line] = page.one("pre", id="curl-again").children
    assert isinstance(line, str)
    words = shlex.split(line)
    sent = msgspec.json.decode(words[words.index("-d") + 1])
    assert sent == {"model": "sentiment", "inputs": evil, "parameters": {"top_k": 2}}
    assert (await client.post(words[2], json=sent)).status_code == 202

    long = await read(client, await submitted(client, "x" * 10_000))
    assert long.all("pre", id="curl-again") == [], "nobody pastes that"
    assert long.one("pre", id="curl-fetch")


async def test_progress_is_a_bar_and_rows(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job_id = await submitted(client, ["one", "two"])
    assert (await read(client, job_id)).all("progress") == [], "it waits"
    [claimed], _ = await queue.claim("sentiment", 1)
    await queue.note([Progress(job_id, claimed.token, 0, 1, 0, [b'{"index":1,"output":"known"}'])])
    page = await read(client, job_id)
    bar = page.one("progress")
    assert (bar["value"], bar["max"], page.one(class_="progress").text) == ("1", "2", "1 of 2 inputs done")
    rows = page.one(class_="pairs").one("tbody").all("tr")
    assert [row.text for row in rows] == ["1 one not yet", "2 two known"]


async def test_a_job_names_its_worker_and_the_date(
    client: httpx.AsyncClient, settings: Settings, redis: ArqRedis
) -> None:
    worker = JobQueue(redis, settings, ["sentiment"])
    worker._worker = "host:7:abcd"
    await Roster(first_shard(redis)).write(heartbeat("host:7:abcd"))
    job_id = await submitted(client)
    [claimed], _ = await worker.claim("sentiment", 1)
    assert "host:7:abcd has claimed it" in (await read(client, job_id)).text
    await worker.start([claimed])
    started = (await read(client, job_id)).one(class_="timeline").all("li")[1]
    assert started.text.endswith("on host:7:abcd")
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC", started.text)
    assert await worker.finish("sentiment", [ending(claimed)]) == set()
    assert "on host:7:abcd" in (await read(client, job_id)).one(class_="timeline").text
    assert (await client.get(f"/v1/jobs/{job_id}")).json()["worker"] == "host:7:abcd"


@pytest.mark.parametrize(
    ("job_id", "status", "words"),
    [("nix", 404, "No such job"), ("01890000-0000-7000-8000-000000000000", 410, "lifetime is over")],
)
async def test_a_job_that_is_not_there_has_a_page_that_says_so(
    client: httpx.AsyncClient, job_id: str, status: int, words: str
) -> None:
    for address in (f"/jobs/{job_id}", f"/fragments/jobs/{job_id}"):
        page = await client.get(address)
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert words in page.text


async def test_a_record_that_is_none_is_told_as_a_page(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    """Another program wrote to it; the overview shows the other jobs."""
    broken, other = await submitted(client), await submitted(client)
    await redis.set(keys.RESULT.of(broken), "another program's data", px=60_000)
    page = await client.get(f"/jobs/{broken}")
    assert (page.status_code, "log names the key" in page.text) == (503, True)
    assert (await client.get(f"/v1/jobs/{broken}")).status_code == 503
    overview = await client.get("/")
    assert (overview.status_code, other in overview.text) == (200, True)
