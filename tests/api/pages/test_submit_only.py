"""A key that may submit and not read: what the form answers, where its pages lead, and that none polls."""

import pytest

from jobs.access.api_key import KeyScope
from tests.api.access.browser import Browser
from tests.api.access.keyed import ADMIN, Keyed, bearer
from tests.api.markup import parsed
from tests.ledger import JobQueue, run_one

SUBMITTER: frozenset[KeyScope] = frozenset({"submit"})
HTMX = {"hx-request": "true", "accept": "*/*"}


@pytest.fixture
async def secret(guarded: Keyed) -> str:
    return (await guarded.key("alice", SUBMITTER))[1]


@pytest.fixture
async def submitter(guarded: Keyed, secret: str) -> Browser:
    browser = Browser(guarded)
    await browser.sign_in(secret, "/try")
    return browser


@pytest.mark.parametrize("headers", [HTMX, {}], ids=["htmx", "without JavaScript"])
async def test_the_form_tells_the_jobs_id_and_does_not_poll(
    guarded: Keyed, submitter: Browser, headers: dict[str, str]
) -> None:
    form = {"text": "x", "token": await submitter.token()}
    answer = await submitter.http.post("/submit", data=form, headers=headers)
    assert answer.status_code == 200
    told = parsed(answer.text).one(id="answers")
    assert "your key lacks the scope read" in told.text
    job_id = told.one(class_="id").text
    job = (await guarded.client.get(f"/v1/jobs/{job_id}", headers=bearer(ADMIN))).json()
    assert (job["status"], job["owner"]) == ("queued", "alice")
    assert "/fragments/" not in answer.text
    assert f"/jobs/{job_id}" not in answer.text, "a link to a page that is refused"


async def test_a_form_that_is_sent_again_shows_no_results(submitter: Browser, queue: JobQueue) -> None:
    page = parsed((await submitter.get("/try")).text)
    form = {"text": "x", "token": await submitter.token(), "nonce": page.one(id="nonce")["value"]}
    first = parsed((await submitter.http.post("/submit", data=form, headers=HTMX)).text)
    await run_one(queue)
    again = parsed((await submitter.http.post("/submit", data=form, headers=HTMX)).text)
    assert again.one(id="answers").text == first.one(id="answers").text


async def test_a_fragment_that_is_refused_ends_the_polling(guarded: Keyed, secret: str) -> None:
    """It replaces the part of the page that polls: htmx does not swap JSON, and would go on for ever."""
    for path in ("/fragments/answers/x", "/fragments/recent", "/fragments/overview"):
        answer = await guarded.client.get(path, headers=HTMX | bearer(secret))
        assert answer.status_code == 403
        assert answer.headers["hx-reswap"] == "outerHTML"
        refused = parsed(answer.text).one(id="missing")
        assert "hx-get" not in refused.attributes
        assert "lacks the scope 'read'" in refused.text
    _, reader = await guarded.key("bob")
    missing = await guarded.client.get("/fragments/answers/x", headers=HTMX | bearer(reader))
    assert (missing.status_code, "hx-get" in missing.text) == (404, False)


async def test_the_first_page_is_the_form(guarded: Keyed, secret: str) -> None:
    browser = Browser(guarded)
    assert (await browser.sign_in(secret)).headers["location"] == "/try"
    assert (await browser.get("/sign-in")).headers["location"] == "/try"
    reader = Browser(guarded)
    assert (await reader.sign_in((await guarded.key("bob"))[1])).headers["location"] == "/"


async def test_a_page_that_is_refused_leads_to_one_that_is_not(submitter: Browser) -> None:
    for path in ("/", "/jobs", "/nix"):
        refused = await submitter.get(path)
        assert refused.status_code in (403, 404)
        links = {link["href"] for link in parsed(refused.text).all("a")} - {"#main"}
        assert links == {"/try", "/docs"}
        for link in links:
            assert (await submitter.get(link)).status_code == 200
