"""The browser's pages: what they show, that no job can act on them, that forms come from here only."""

import re
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from api.outputs import MOST_TEXT, Row, shown
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.workers import Roster
from tests import valkey
from tests.api.edge import mounted, serving
from tests.conftest import written
from tests.ledger import heartbeat, run_one

EVIL = "<script>alert('x')</script>"
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def submitted(client: httpx.AsyncClient, inputs: object = "x") -> str:
    return str((await client.post("/v1/jobs", json={"inputs": inputs})).json()["id"])


async def test_the_status_page_shows_what_goes_on(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    await submitted(client)
    await run_one(queue)
    waiting = await submitted(client)
    await Roster(redis).write(heartbeat(engine="busy", items_per_second=84.25, device="cpu"))
    page = await client.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    fragment = (await client.get("/fragments/overview")).text
    for text in (page.text, fragment):
        assert '<span class="pill busy">busy</span>' in text
        assert '<span class="pill no-worker">no worker</span>' in text, "for the other model"
        assert "84.2" in text
        assert f'href="/jobs/{waiting}"' in text
        assert '<span class="pill succeeded">succeeded</span>' in text
        assert "1.5 ms" in text
    assert '<option value="sentiment"' in page.text
    assert "<form" not in fragment, "a refresh must not touch what somebody types"


async def test_a_jobs_page_shows_it_from_start_to_end(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job_id = await submitted(client, ["good", "bad"])
    page = (await client.get(f"/jobs/{job_id}")).text
    assert '<span class="pill queued">queued</span>' in page
    assert f'action="/jobs/{job_id}/cancel"' in page
    assert f'data-events="/v1/jobs/{job_id}/events"' in page
    assert "place 1 in the queue" in page

    error = {"error": {"title": "It failed", "detail": "too strange a text"}}
    await run_one(queue, [{"output": [{"label": "POSITIVE", "score": 0.987}]}, error])
    for path in (f"/jobs/{job_id}", f"/fragments/jobs/{job_id}"):
        page = (await client.get(path)).text
        assert '<span class="pill succeeded">succeeded</span>' in page
        assert 'value="0.987"' in page
        assert "too strange a text" in page
        assert "1 of 2 inputs failed." in page
        assert "/cancel" not in page
    answer = (await client.get(f"/fragments/jobs/{job_id}/answer")).text
    assert "POSITIVE" in answer


@pytest.mark.parametrize(("state", "words"), [("cancelled", "Cancelled on request"), ("failed", "no good")])
async def test_a_bad_end_is_told_in_words(
    client: httpx.AsyncClient, queue: JobQueue, state: str, words: str
) -> None:
    job_id = await submitted(client)
    if state == "failed":
        await run_one(queue, [{"error": {"detail": "no good"}}])
    else:
        await client.delete(f"/v1/jobs/{job_id}")
    page = (await client.get(f"/jobs/{job_id}")).text
    assert words in page
    assert f'<span class="pill {state}">{state}</span>' in page


async def test_a_job_cannot_act_on_the_pages(client: httpx.AsyncClient, queue: JobQueue) -> None:
    """A script tag as input, output and error is text; and the policy would not run one either."""
    job_id = await submitted(client, [EVIL, EVIL, "x"])
    await run_one(
        queue, [{"output": [{"label": EVIL, "score": 0.5}]}, {"error": {"detail": EVIL}}, {"output": EVIL}]
    )
    for path in (f"/jobs/{job_id}", f"/fragments/jobs/{job_id}", f"/fragments/jobs/{job_id}/answer", "/"):
        page = await client.get(path)
        assert "<script>" not in page.text
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert (await client.get(f"/jobs/{job_id}")).text.count("&lt;script&gt;") == 5
    evil = await client.get("/jobs/<script>alert(1)")
    assert (evil.status_code, "&lt;script&gt;" in evil.text, "<script>" in evil.text) == (404, True, False)


def test_no_template_has_anything_inline_or_from_elsewhere() -> None:
    templates = Path(__file__).resolve().parents[2] / "templates"
    files = [path for path in templates.rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        text = path.read_text()
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|\|\s*safe", text), path
        assert not re.search(r"(?:src|href|url\(|import|fetch\()\s*=?\s*[\"'(]?(?:https?:)?//", text), path


async def test_a_form_without_javascript_ends_at_the_jobs_page(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    form = {"model": "sentiment", "text": "Fine\r\nfilm", "parameters": '{"top_k": 2}'}
    answer = await client.post("/submit", data=form, headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 303
    page = await client.get(answer.headers["location"])
    assert page.status_code == 200
    job_id = answer.headers["location"].removeprefix("/jobs/")
    assert await queue.inputs(job_id) == ["Fine\nfilm"]

    done = await client.post(f"/jobs/{job_id}/cancel", headers={"sec-fetch-site": "same-origin"})
    assert (done.status_code, done.headers["location"]) == (303, f"/jobs/{job_id}")
    assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"model": "nix", "text": "kept"}, 404, "no model named"),
        ({"model": "sentiment", "text": "kept", "parameters": "{"}, 422, "not valid JSON"),
        ({"model": "sentiment", "text": "kept", "parameters": "[]"}, 422, "give a JSON object"),
        ({"model": "sentiment", "text": "kept", "parameters": '{"nix": 1}'}, 422, "unknown field"),
        ({"model": "shapes", "text": "kept"}, 422, "not valid JSON"),
        ({"model": "sentiment", "text": ""} | {f"f{i}": "" for i in range(20)}, 422, "cannot be read"),
        ({"model": "sentiment"}, 422, "no field named text"),
        ({"model": "shapes", "text": "[" * 150 + "]" * 150}, 422, "nested more than"),
    ],
)
async def test_a_bad_form_comes_back_with_the_reason_and_what_was_typed(
    client: httpx.AsyncClient, redis: ArqRedis, form: dict[str, str], status: int, words: str
) -> None:
    page = await client.post("/submit", data=form)
    assert page.status_code == status
    assert words in page.text
    assert form.get("text", "") in page.text
    assert await written(redis) == set()


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


@pytest.mark.parametrize(
    ("job_id", "status", "words"),
    [("nix", 404, "No such job"), ("01890000-0000-7000-8000-000000000000", 410, "lifetime is over")],
)
async def test_a_job_that_is_not_there_has_a_page_that_says_so(
    client: httpx.AsyncClient, job_id: str, status: int, words: str
) -> None:
    page = await client.get(f"/jobs/{job_id}")
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert words in page.text


async def test_the_pages_say_that_redis_is_away(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{valkey.free_port()}/0"})
    async with mounted(gone) as (client, _):
        for path in ("/", "/fragments/overview", "/jobs/x"):
            page = await client.get(path)
            assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
            assert "cannot be reached" in page.text
        sent = await client.post("/submit", data={"text": "kept"})
        assert (sent.status_code, "kept" in sent.text) == (503, True)


async def test_every_static_file_that_a_page_names_is_served(settings: Settings) -> None:
    async with serving(settings) as (client, _):
        job_id = await submitted(client)
        named = set()
        for path in ("/", f"/jobs/{job_id}", "/docs"):
            named |= set(re.findall(r'(?:src|href)="(/static/[^"]+)"', (await client.get(path)).text))
        assert len(named) == 4
        for url in named:
            answer = await client.get(url)
            assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")


@pytest.mark.parametrize(
    ("output", "rows", "text"),
    [
        ({"label": "A", "score": 0.5}, [Row("A", 0.5)], ""),
        ([[{"label": "A", "score": 0.5}]], [Row("A", 0.5)], ""),
        ({"sequence": "s", "labels": ["A"], "scores": [0.5]}, [Row("A", 0.5)], ""),
        ([{"entity_group": "PER", "word": "Ada", "score": 0.9}], [Row("Ada", 0.9, "PER")], ""),
        ([{"token_str": "t", "sequence": "a t", "score": 0.9}], [Row("t", 0.9, "a t")], ""),
        ([{"generated_text": "once"}], [Row("once", None)], ""),
        ({"label": "A", "score": 17}, [Row("A", None)], ""),
        ([0.1] * 384, [], "384 numbers: 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, …"),
        ([[[0.1, 2]]], [], "1 rows: 1 rows: 2 numbers: 0.1, 2"),
        ("text" * 1_000, [], ("text" * 1_000)[:MOST_TEXT] + " …"),
        ({"any": None}, [], '{\n  "any": null\n}'),
        ([], [], "[]"),
        (None, [], "null"),
    ],
)
def test_outputs_are_made_readable(output: object, rows: list[Row], text: str) -> None:
    assert shown({"output": output}) == (rows, text, "")
