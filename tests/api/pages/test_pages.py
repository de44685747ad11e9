"""All pages: that no job can act on them, that forms come from here only, that they say what is away.

What each shows is in `test_pages_overview.py`, `test_pages_job.py` and `test_pages_try.py`.
"""

import asyncio
import re
import shlex
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from api.health import redis_timeout
from api.health.redis_timeout import REDIS_TIMEOUT
from jobs.settings import Settings
from jobs.store.connection import SOCKET_TIMEOUT
from tests import valkey
from tests.api.api_process import mounted, serving
from tests.api.markup import parsed
from tests.conftest import written
from tests.ledger import JobQueue, run_one
from tests.ports import free_port

EVIL = "<script>alert('x')</script>"
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def submitted(client: httpx.AsyncClient, inputs: object = "x") -> str:
    return str((await client.post("/v1/jobs", json={"inputs": inputs, "keep_inputs": True})).json()["id"])


async def test_a_job_cannot_act_on_the_pages(client: httpx.AsyncClient, queue: JobQueue) -> None:
    """A script tag as input, output and error is text; and the policy would not run one either."""
    job_id = await submitted(client, [EVIL, EVIL, "x"])
    await run_one(
        queue, [{"output": [{"label": EVIL, "score": 0.5}]}, {"error": {"detail": EVIL}}, {"output": EVIL}]
    )
    form = {"text": f"{EVIL}\n{EVIL}", "mode": "lines"}
    tried = (await client.post("/submit", data=form)).headers["location"]
    await run_one(queue, [{"output": {"generated_text": f"{EVIL} and on"}}, {"output": EVIL}])
    for path in (
        f"/jobs/{job_id}",
        f"/fragments/jobs/{job_id}",
        tried,
        tried.replace("/jobs/", "/fragments/answers/"),
        "/",
        "/jobs",
    ):
        page = await client.get(path)
        assert "<script>" not in page.text
        assert page.status_code in (200, 286)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    shown = parsed((await client.get(f"/jobs/{job_id}")).text)
    cells = [row.text for row in shown.one(class_="pairs").one("tbody").all("tr")]
    assert cells == [f"1 {EVIL} {EVIL} 0.500", f"2 {EVIL} {EVIL}", f"3 x {EVIL}"]
    assert EVIL in shlex.split(shown.one("pre", id="curl-again").text)[-1]
    assert f"{EVIL} and on" in parsed((await client.get(tried)).text).one(id="row-1").text
    evil = await client.get("/jobs/<script>alert(1)")
    assert (evil.status_code, "&lt;script&gt;" in evil.text, "<script>" in evil.text) == (404, True, False)


BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nope", 404, "the path /nope does not exist"),
        ("GET", "/nope/<script>", 404, "the path /nope/<script> does not exist"),
        ("GET", "/static/nope.css", 404, "the path /static/nope.css does not exist"),
        ("GET", "/submit", 405, "/submit does not allow GET"),
        ("POST", "/jobs/x/cancel", 404, "there is no job x"),
        ("GET", "/jobs/x", 404, "there is no job x"),
        ("GET", "/jobs/01890000-0000-7000-8000-000000000000", 410, "its lifetime is over"),
    ],
)
async def test_a_browser_gets_a_page_where_nothing_is(
    client: httpx.AsyncClient, method: str, path: str, status: int, words: str
) -> None:
    answer = await client.request(method, path, headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    page = parsed(answer.text)
    assert words in page.one("main").text
    assert page.one("nav", aria_label="Main").one("a", href="/try"), "the site's frame"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/v1/nope", "/v1/jobs/x", "/v1/jobs/x/result"])
async def test_the_api_answers_with_problems_whoever_asks(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
async def test_who_asks_for_no_page_gets_a_problem(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/nope", headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    wrong = await client.get("/submit", headers=BROWSER)
    assert wrong.headers["allow"] == "POST"


def test_no_template_has_anything_inline_or_from_elsewhere() -> None:
    templates = Path(__file__).resolve().parents[3] / "templates"
    files = [path for path in templates.rglob("*") if path.is_file() and path.parent.name != "vendor"]
    assert len(files) > 8
    for path in files:
        text = path.read_text()
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|\|\s*safe", text), path
        assert not re.search(r"(?:src|href|url\(|import|fetch\()\s*=?\s*[\"'(]?(?:https?:)?//", text), path


@pytest.mark.parametrize("path", ["/submit", "/jobs/x/cancel"])
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
    ],
)
async def test_a_form_of_another_site_is_refused(
    client: httpx.AsyncClient, redis: ArqRedis, path: str, headers: dict[str, str]
) -> None:
    answer = await client.post(path, content=b"text=x", headers=FORM | headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:batchline:problem:cross-site")
    assert await written(redis) == set()
    here = await client.post("/submit", content=b"text=x", headers=FORM | {"origin": "http://edge"})
    assert here.status_code == 303


async def test_the_pages_say_that_redis_is_away(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    async with mounted(gone) as (client, _):
        for path in ("/", "/fragments/overview", "/jobs/x", "/fragments/jobs/x"):
            page = await client.get(path)
            assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
            assert "cannot be reached" in page.text
        for path in ("/fragments/charts?model=shapes", "/fragments/recent"):
            assert (await client.get(path)).status_code == 204, "the page keeps what it shows"
        overview = parsed((await client.get("/")).text)
        assert overview.one(id="recent").text.endswith("in Redis, which cannot be reached.")
        listed = await client.get("/jobs", headers=BROWSER)
        assert (listed.status_code, "cannot be reached" in listed.text) == (503, True)
        sent = await client.post("/submit", data={"text": "kept"})
        assert (sent.status_code, "kept" in sent.text) == (503, True)


async def test_no_part_of_the_overview_waits_long_for_a_redis_that_stands_still(
    client: httpx.AsyncClient, server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is older than two seconds says so; it must be known to be late before that."""
    assert REDIS_TIMEOUT < 2
    await submitted(client)
    charts = "/fragments/charts?model=sentiment"
    parts = ("/fragments/overview", charts, "/fragments/recent", "/fragments/served")
    for path in parts:
        await client.get(path)  # connections are there
    monkeypatch.setattr(redis_timeout, "REDIS_TIMEOUT", REDIS_TIMEOUT)
    with server.standing_still():
        async with asyncio.timeout(2 * SOCKET_TIMEOUT):  # else each would wait on a connection twice
            answers = await asyncio.gather(*(client.get(path) for path in parts))
    assert [answer.status_code for answer in answers] == [503, 204, 204, 200]
    assert "cannot be reached" in answers[3].text


async def test_every_static_file_that_a_page_names_is_served(settings: Settings) -> None:
    async with serving(settings) as (client, _):
        job_id = await submitted(client)
        named = set()
        for path in ("/", "/models/sentiment", f"/jobs/{job_id}", "/try", "/docs"):
            named |= set(re.findall(r'(?:src|href)="(/static/[^"]+)"', (await client.get(path)).text))
        assert len(named) == 11
        for url in named:
            answer = await client.get(url)
            assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
