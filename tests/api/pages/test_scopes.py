"""Pages show what the key of the session allows, and nothing else."""

from arq.connections import ArqRedis

from jobs.access.api_key import KeyScope
from jobs.settings import Settings
from tests.api.access.browser import Browser, submitted
from tests.api.access.keyed import ADMIN, Keyed, bearer
from tests.ledger import MODEL, JobQueue, run_one

READER: frozenset[KeyScope] = frozenset({"read"})


async def test_a_reader_sees_nothing_that_it_may_not_use(guarded: Keyed, browser: Browser) -> None:
    path = await submitted(browser)
    assert "/cancel" in (await browser.get(path)).text
    reader = Browser(guarded)
    await reader.sign_in((await guarded.key("alice", READER))[1])
    page = await reader.get(path)
    assert page.status_code == 200
    assert "/cancel" not in page.text
    for shown in (
        page,
        await reader.get("/"),
        await reader.get("/models/sentiment"),
        await reader.get("/jobs"),
    ):
        assert shown.status_code == 200
        assert "/try" not in shown.text
    refused = await reader.get("/try")
    assert refused.status_code == 403
    assert 'id="sign-out"' in refused.text


async def test_figures_of_all_owners_are_for_admins(guarded: Keyed, browser: Browser) -> None:
    admin = Browser(guarded)
    await admin.sign_in(ADMIN)
    for path in ("/", "/models/sentiment", "/fragments/overview", "/fragments/overview?model=sentiment"):
        seen, unseen = await admin.get(path), await browser.get(path)
        assert (seen.status_code, unseen.status_code) == (200, 200)
        for words in ("claimed", "Workers"):
            assert words in seen.text
            assert words not in unseen.text
    assert "/fragments/charts" not in (await browser.get("/models/sentiment")).text
    assert "charts.js" not in (await browser.get("/models/sentiment")).text
    assert "/fragments/charts" in (await admin.get("/models/sentiment")).text
    assert "/metrics" not in (await browser.get("/")).text


async def test_a_key_that_only_submits_reads_nothing_by_cancelling(
    guarded: Keyed, redis: ArqRedis, settings: Settings
) -> None:
    """The job has ended, so the answer is the job as it is; another key of the owner submitted it."""
    _, both = await guarded.key("alice")
    _, secret = await guarded.key("alice", frozenset({"submit"}))
    sent = await guarded.client.post("/v1/jobs", json={"inputs": "x"}, headers=bearer(both))
    job_id = sent.json()["id"]
    queue = JobQueue(redis, settings, [MODEL], "host-1")
    await run_one(queue, [{"output": [{"label": "not for you", "score": 0.5}]}])
    await queue.close()
    for key, shown in ((secret, False), (both, True)):
        answers = [
            await guarded.client.delete(f"/v1/jobs/{job_id}", headers=bearer(key)),
            await guarded.client.post(f"/jobs/{job_id}/cancel", headers=bearer(key) | {"hx-request": "true"}),
        ]
        assert [answer.status_code for answer in answers] == [200, 200 if shown else 303]
        assert ["not for you" in answer.text for answer in answers] == [shown, shown]


async def test_a_key_that_only_submits_has_no_links_to_pages_that_it_may_not_read(guarded: Keyed) -> None:
    browser = Browser(guarded)
    await browser.sign_in((await guarded.key("alice", frozenset({"submit"})))[1], "/try")
    page = await browser.get("/try")
    assert page.status_code == 200
    assert 'href="/try"' in page.text
    assert 'href="/jobs"' not in page.text
    assert "/fragments/" not in page.text
