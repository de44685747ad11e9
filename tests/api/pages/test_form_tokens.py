"""Forms of a session change something only with the session's own token."""

import pytest
from fastapi.routing import iter_route_contexts

from api.access import sessions
from api.app import create_app
from api.pages.interface import Pages
from jobs.settings import Settings
from tests.api.access.browser import Browser, cookie, submitted, token
from tests.api.access.keyed import ADMIN, Keyed, bearer
from tests.ledger import JobQueue, run_one


async def test_another_site_cannot_use_the_forms(guarded: Keyed, browser: Browser) -> None:
    for path in ("/sign-in", "/sign-out", "/submit", "/jobs/x/cancel"):
        answer = await browser.http.post(path, data={}, headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 403, path
    assert browser.session()


async def test_the_forms_work_with_their_token(browser: Browser, queue: JobQueue) -> None:
    path = await submitted(browser)
    cancelled = await browser.http.post(f"{path}/cancel", data={"token": token(await browser.get(path))})
    assert cancelled.status_code == 303
    assert "The job was cancelled" in (await browser.get(path)).text
    signed_out = await browser.http.post("/sign-out", data={"token": await browser.token()})
    assert (signed_out.status_code, signed_out.headers["location"]) == (303, "/sign-in")
    assert cookie(signed_out, sessions.NAME)["max-age"] == "0"
    assert browser.session() is None


@pytest.mark.parametrize("whose", ["none", "another session's", "of the same key"])
async def test_a_form_without_its_own_token_changes_nothing(
    guarded: Keyed, queue: JobQueue, whose: str
) -> None:
    _, secret = await guarded.key("alice")
    browser, other = Browser(guarded), Browser(guarded)
    await browser.sign_in(secret)
    await other.sign_in(secret if whose == "of the same key" else (await guarded.key("bob"))[1])
    path = await submitted(browser)
    wrong = "" if whose == "none" else await other.token()
    assert wrong != await browser.token()
    for form in ("/submit", f"{path}/cancel", "/sign-out"):
        answer = await browser.http.post(form, data={"token": wrong, "text": "x"})
        assert answer.status_code == 403, form
    assert (await guarded.client.get("/v1/jobs", headers=bearer(ADMIN))).json()["jobs"][0][
        "status"
    ] == "queued"
    assert len((await guarded.client.get("/v1/jobs", headers=bearer(ADMIN))).json()["jobs"]) == 1
    assert browser.session()
    await run_one(queue)


async def test_every_form_of_the_pages_needs_the_token(
    settings: Settings, guarded: Keyed, browser: Browser
) -> None:
    """Every other way to change something does not accept the cookie at all."""
    changing = {
        (method, str(route.path).replace("{job_id}", "x"))
        for route in iter_route_contexts(create_app(settings).routes)
        for method in (route.methods or set()) - {"GET", "HEAD"}
    }
    assert changing >= {("POST", "/v1/jobs"), ("DELETE", "/v1/jobs/x"), ("POST", "/submit")}
    pages = {
        (method, str(route.path).replace("{job_id}", "x"))
        for router in Pages.routers
        for route in iter_route_contexts(router.routes)
        for method in route.methods or ()
    }
    for method, path in changing - {("POST", "/sign-in"), ("POST", "/try")}:  # /try changes nothing
        answer = await browser.http.request(method, path, headers={"accept": "*/*"})
        assert answer.status_code == (403 if (method, path) in pages else 401), path


async def test_a_key_in_a_header_needs_no_token(guarded: Keyed, browser: Browser) -> None:
    """A page of another site cannot add it. It precedes the cookie."""
    _, bob = await guarded.key("bob")
    answer = await browser.http.post("/submit", data={"text": "x"}, headers=bearer(bob))
    assert answer.status_code == 303
    shown = await browser.http.get("/", headers=bearer(bob))
    assert 'id="sign-out"' not in shown.text
