"""The page of all jobs: pages, filters, and the search for a job's id, all without JavaScript."""

import httpx
import pytest
from arq.connections import ArqRedis

from api.pages.jobs_page import PAGE
from jobs.ledger import keys
from tests.api.markup import Element, parsed
from tests.api.pages.test_overview import read, submitted
from tests.ledger import JobQueue, run_one

LONG_AGO = "01890000-0000-7000-8000-000000000000"


def shown(page: Element) -> list[str]:
    """The ids of the jobs in the table."""
    ids = [row["id"] for row in page.one(id="jobs").all("tr") if "id" in row.attributes]
    return [row.removeprefix("job-") for row in ids if row.startswith("job-")]


def links(page: Element) -> dict[str, str]:
    """The links of the pages and of the filters."""
    return {
        link.text: link["href"]
        for nav in ("Filter the jobs", "Pages")
        for link in page.one("nav", aria_label=nav).all("a")
    }


async def test_all_jobs_are_on_some_page(client: httpx.AsyncClient) -> None:
    ids = [await submitted(client) for _ in range(2 * PAGE + 3)][::-1]
    page = await read(client, "/jobs")
    assert "Newest" not in links(page)
    found = shown(page)
    assert len(found) == PAGE
    while "Older" in links(page):
        page = await read(client, links(page)["Older"])
        found += shown(page)
        assert len(found) <= len(ids)
    assert found == ids
    assert shown(await read(client, links(page)["Newest"])) == ids[:PAGE]


async def test_filters_keep_each_other_and_pages_keep_both(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    done = await submitted(client)
    await run_one(queue)
    for _ in range(PAGE + 1):
        await submitted(client)
    await submitted(client, model="shapes", inputs=[1])

    page = await read(client, "/jobs?state=queued&model=sentiment")
    assert len(shown(page)) == PAGE
    current = page.one("nav", aria_label="Filter the jobs").all("a", aria_current="true")
    assert [link.text for link in current] == ["queued", "sentiment"]
    assert links(page)["succeeded"] == "/jobs?state=succeeded&model=sentiment"
    assert links(page)["shapes"] == "/jobs?state=queued&model=shapes"
    older = await read(client, links(page)["Older"])
    assert len(shown(older)) == 1
    assert links(older)["Newest"] == "/jobs?state=queued&model=sentiment"
    assert links(older)["shapes"] == "/jobs?state=queued&model=shapes", (
        "another filter begins with the newest"
    )
    assert shown(await read(client, links(page)["succeeded"])) == [done]
    assert len(shown(await read(client, "/jobs?state=nix&model=nix"))) == PAGE, "unknown filters are ignored"


async def test_a_filter_that_finds_nothing_offers_to_search_older_jobs(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await submitted(client, model="shapes", inputs=[1])
    for _ in range(4):
        await submitted(client)
    monkeypatch.setattr("jobs.ledger.listing.SEARCHED", 3)
    page = await read(client, "/jobs?model=shapes")
    assert page.one(id="jobs").text == "No job of shapes among the 3 jobs that this page searched."
    page = await read(client, links(page)["Search older jobs"])
    assert shown(page) == [old]
    assert "searched" not in page.text, "it was the last page"
    page = await read(client, "/jobs?state=failed&model=shapes&after=" + old)
    assert page.one(id="jobs").text == "No older failed job of shapes."


async def test_an_empty_list_says_so(client: httpx.AsyncClient) -> None:
    page = await read(client, "/jobs")
    assert page.one(id="jobs").text == "No job yet. Submit the first one ."
    assert (await read(client, "/jobs?state=failed")).one(id="jobs").text == "No failed job."


async def test_a_page_that_is_no_longer_in_the_list_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/jobs?state=queued&after={LONG_AGO}")
    assert answer.status_code == 410
    page = parsed(answer.text)
    assert page.one(id="jobs").text.startswith("The list no longer contains the job")
    assert links(page)["Newest"] == "/jobs?state=queued"


async def test_the_end_of_an_id_leads_to_the_job(client: httpx.AsyncClient) -> None:
    ids = [await submitted(client) for _ in range(3)]
    form = (await read(client)).one("form", class_="search")
    assert (form["action"], form.one("input")["name"]) == ("/jobs", "id")
    for job_id in ids:
        for text in (
            job_id[-7:],
            job_id[-7:].upper(),
            f"  {job_id[-7:]} ",
            f"{job_id[:4]}…{job_id[-7:]}",
            job_id,
        ):
            answer = await client.get("/jobs", params={"id": text})
            assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job_id}"), text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0000000", "No job among the newest 10,000 has an id that ends in 0000000 ."),
        ("<script>", "ends in <script> ."),
        ("*", "at least 4 characters"),
        ("****", "No job among"),
        ("…abc", "at least 4 characters"),
    ],
)
async def test_a_search_without_a_result_says_so(client: httpx.AsyncClient, text: str, words: str) -> None:
    await submitted(client)
    answer = await client.get("/jobs", params={"id": text})
    assert answer.status_code == 200
    page = parsed(answer.text)
    assert words in page.one(id="found").text
    assert page.one("form", class_="search").one("input")["value"] == text, "to be corrected"
    assert "<script>" not in answer.text


async def test_several_matches_are_listed(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    """One of them may have no state any more."""
    job_id = await submitted(client)
    gone = LONG_AGO[:-4] + job_id[-4:]
    await redis.zadd(keys.RECENT.pattern, {gone: 1})
    page = await read(client, f"/jobs?id={job_id[-4:]}")
    assert page.one(id="found").one("tr", id=f"job-{job_id}")
    assert page.one("a", href=f"/jobs/{gone}")


@pytest.mark.parametrize(("job_id", "status"), [(LONG_AGO, 410), ("f" * 36, 404), ("a/b" * 12, 404)])
async def test_a_whole_id_leads_to_the_page_that_says_what_became_of_it(
    client: httpx.AsyncClient, job_id: str, status: int
) -> None:
    answer = await client.get("/jobs", params={"id": job_id}, headers={"accept": "text/html"})
    assert answer.status_code == 303
    answer = await client.get(answer.headers["location"], headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
