"""Signing in: which page comes when, where it leads to, and what is refused."""

from urllib.parse import quote

import httpx
import pytest

from api.access.permissions import TABLE
from api.pages import sign_in
from jobs.access.api_key import new_secret
from jobs.errors import InvalidRequest
from jobs.settings import Settings
from tests.api.access.browser import BROWSER, Browser, token
from tests.api.access.keyed import Keyed, keyed


async def test_without_a_session_a_page_leads_to_the_sign_in_and_back(guarded: Keyed) -> None:
    _, secret = await guarded.key("alice")
    browser = Browser(guarded)
    wanted = "/jobs?state=failed&model=sentiment"
    answer = await browser.get(wanted)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={quote(wanted)}")
    page = await browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert 'type="password"' in page.text
    assert "Overview" not in page.text
    form = {"key": secret, "next": wanted, "token": token(page)}
    signed_in = await browser.http.post("/sign-in", data=form)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, wanted)
    shown = await browser.get(wanted)
    assert shown.status_code == 200
    assert "alice" in shown.text
    assert 'id="sign-out"' in shown.text
    assert (await browser.get("/sign-in")).headers["location"] == "/"


@pytest.mark.parametrize("how", ["rotated", "revoked", "signed out"])
async def test_a_session_that_has_ended_is_told(guarded: Keyed, how: str) -> None:
    key, secret = await guarded.key("alice")
    browser = Browser(guarded)
    assert "session has ended" not in (await browser.get("/sign-in")).text
    await browser.sign_in(secret)
    if how == "rotated":
        _, secret = await guarded.store.rotate(key.id, 0)
    elif how == "revoked":
        await guarded.store.revoke(key.id)
    else:
        await browser.http.post("/sign-out", data={"token": await browser.token()})
    await guarded.ring.refresh()
    page = await browser.get((await browser.get("/jobs")).headers["location"])
    assert ("Your session has ended. Sign in again." in page.text) is (how != "signed out")
    if how == "rotated":
        assert (await browser.sign_in(secret)).status_code == 303
        assert (await browser.get("/jobs")).status_code == 200


async def test_a_fragment_sends_its_page_to_the_sign_in(guarded: Keyed) -> None:
    asked = {"hx-request": "true", "hx-current-url": "http://edge/models/sentiment?state=failed"}
    answer = await guarded.client.get("/fragments/overview", headers=asked)
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == f"/sign-in?next={quote('/models/sentiment?state=failed')}"
    answer = await guarded.client.get(
        "/fragments/overview", headers=asked | {"hx-current-url": "http://edge//evil.example"}
    )
    assert answer.headers["hx-redirect"] == "/sign-in"


@pytest.mark.parametrize("address", ["http://[", "http://[::1]x/", "//[/jobs", "mailto:a", ""])
async def test_a_fragment_of_no_page_leads_to_the_sign_in(guarded: Keyed, address: str) -> None:
    asked = {"hx-request": "true", "hx-current-url": address}
    answer = await guarded.client.get("/fragments/overview", headers=asked)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in")


async def test_other_clients_get_no_sign_in_page(guarded: Keyed) -> None:
    assert (await guarded.client.get("/v1/jobs", headers=BROWSER)).status_code == 401
    assert (await guarded.client.get("/jobs")).json()["type"].endswith(":unauthorized")


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https://evil.example",
        "evil",
        "",
        "/a\nb",
        "/a b",
    ],
)
async def test_next_is_a_path_of_this_server(guarded: Keyed, path: str) -> None:
    _, secret = await guarded.key("alice")
    browser = Browser(guarded)
    with pytest.raises(InvalidRequest):
        sign_in.local(path)
    assert (await browser.get(f"/sign-in?next={quote(path)}")).status_code == 422
    answer = await browser.sign_in(secret, path)
    assert answer.status_code == 422
    assert browser.session() is None


async def test_a_wrong_key_is_told_and_counted(settings: Settings) -> None:
    async with keyed(settings, max_failed_attempts=3) as guarded:
        _, secret = await guarded.key("alice")
        browser = Browser(guarded)
        for _ in range(3):
            answer = await browser.sign_in(wrong := new_secret())
            assert answer.status_code == 401
            assert "This key is not accepted" in answer.text
            assert wrong not in answer.text
        answer = await browser.sign_in(new_secret())
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert 'type="password"' in answer.text
        assert browser.session() is None
        assert (await browser.sign_in(secret)).status_code == 303, "right keys are still accepted"


@pytest.mark.parametrize("how", ["no token", "another form's token", "no cookie"])
async def test_nobody_is_signed_in_by_another_sites_form(guarded: Keyed, how: str) -> None:
    _, secret = await guarded.key("mallory")
    browser = Browser(guarded)
    given = {
        "no token": "",
        "another form's token": token(await Browser(guarded).get("/sign-in")),
        "no cookie": token(await browser.get("/sign-in")),
    }[how]
    if how == "no cookie":
        browser.http.cookies.clear()
        answer = await browser.http.post("/sign-in", data={"key": secret, "token": given})
    else:
        answer = await browser.sign_in(secret, token=given)
    assert answer.status_code == 400
    assert "Try again" in answer.text
    assert browser.session() is None
    assert token(answer), "the form works now"


async def test_a_link_on_another_site_leads_to_its_page(browser: Browser) -> None:
    """The browser sends no cookie with it, so the answer begins the request again."""
    session = browser.session()
    browser.http.cookies.clear()
    answer = await browser.get("/jobs?state=failed", **{"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/jobs?state=failed">' in answer.text
    assert session
    assert (await browser.get("/jobs", **{"sec-fetch-site": "same-origin"})).status_code == 303


@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/jobs?a=b", "/%2Fevil.example", "/%09/evil.example"]
)
async def test_a_link_on_another_site_does_not_lead_to_other_servers(guarded: Keyed, path: str) -> None:
    """A browser reads `//host/path` in our answer as an address of that host."""
    for whence in ("cross-site", "none"):
        asked = BROWSER | {"sec-fetch-site": whence}
        answer = await guarded.client.get(httpx.URL(f"http://edge{path}"), headers=asked)
        assert (answer.status_code, answer.headers.get("location")) == (303, "/sign-in"), whence
        assert "evil" not in answer.text


async def test_without_keys_there_is_nothing_of_it(client: httpx.AsyncClient) -> None:
    page = await client.get("/try", headers=BROWSER)
    assert "Sign out" not in page.text
    assert 'name="token"' not in page.text
    assert (await client.get("/sign-in?next=/jobs")).headers["location"] == "/jobs"
    assert (await client.post("/submit", data={"text": "x"})).status_code == 303
    assert TABLE["POST", "/sign-out"] == "key"
