"""Sessions of the pages: what the cookie is, what it may be used for, and what ends it."""

import pytest

from api.access import sessions
from jobs.settings import Settings
from tests.api.access.browser import BROWSER, Browser, cookie, submitted, token
from tests.api.access.keyed import Keyed, keyed


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_cookies_attributes(guarded: Keyed, scheme: str) -> None:
    key, secret = await guarded.key("alice")
    browser = Browser(guarded, scheme)
    answer = await browser.sign_in(secret)
    name = sessions.NAME if scheme == "http" else f"__Host-{sessions.NAME}"
    found = cookie(answer, name)
    value = found.pop("value")
    secure = {"secure": True} if scheme == "https" else {}
    assert found == {
        "path": "/",
        "max-age": "43200",
        "httponly": True,
        "samesite": "Strict",
        **secure,
    }
    assert value.startswith(f"{key.id}.")
    assert secret not in str(answer.headers)
    assert key.digest not in value
    assert (await browser.get("/")).status_code == 200
    assert cookie(await Browser(guarded, scheme).get("/sign-in"), name.replace("session", "sign-in"))[
        "httponly"
    ]


@pytest.mark.parametrize(("proxies", "secure"), [("127.0.0.1", True), ("10.0.0.7", False)])
async def test_a_trusted_proxy_reports_https(settings: Settings, proxies: str, secure: bool) -> None:
    async with keyed(settings, trusted_proxies=proxies) as guarded:
        answer = await guarded.client.get("/sign-in", headers={"x-forwarded-proto": "https"})
    assert answer.headers["set-cookie"].endswith("; Secure") == secure


async def test_a_cookie_without_tls_is_not_accepted_with_tls(guarded: Keyed, browser: Browser) -> None:
    """Anybody on the path could have set it."""
    other = Browser(guarded, "https")
    answer = await other.get("/", cookie=f"{sessions.NAME}={browser.session()}")
    assert answer.status_code == 303


@pytest.mark.parametrize("how", ["revoke", "rotate"])
async def test_a_session_ends_with_its_key(guarded: Keyed, how: str) -> None:
    key, secret = await guarded.key("alice")
    browser = Browser(guarded)
    await browser.sign_in(secret)
    assert (await browser.get("/")).status_code == 200
    await (guarded.store.revoke(key.id) if how == "revoke" else guarded.store.rotate(key.id, 60_000))
    await guarded.ring.refresh()
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_a_session_ends_when_its_key_expires(guarded: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await guarded.key("alice", lifetime=3_600_000)
    browser = Browser(guarded)
    await browser.sign_in(secret)
    later(monkeypatch, guarded, 3_500)
    assert (await browser.get("/")).status_code == 200
    later(monkeypatch, guarded, 3_700)
    assert (await browser.get("/")).status_code == 303


async def test_a_session_ends_after_its_lifetime(
    guarded: Keyed, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch, guarded, sessions.LIFETIME - 100)
    assert (await browser.get("/")).status_code == 200
    later(monkeypatch, guarded, sessions.LIFETIME + 100)
    assert (await browser.get("/")).status_code == 303


def later(monkeypatch: pytest.MonkeyPatch, guarded: Keyed, seconds: int) -> None:
    now = guarded.ring.now()
    monkeypatch.setattr(guarded.ring, "now", lambda: now + 1000 * seconds)


async def test_a_changed_cookie_is_no_session(guarded: Keyed, browser: Browser) -> None:
    other, _ = await guarded.key("bob")
    value = browser.session()
    assert value
    key_id, issued, rest = value.split(".", 2)
    for wrong in (
        f"{other.id}.{issued}.{rest}",
        f"{key_id}.{int(issued) + 1}.{rest}",
        value[:-1] + ("0" if value[-1] != "0" else "1"),
        value + "0",
        f"{key_id}.{issued}",
        "%E4",
        "",
    ):
        answer = await guarded.client.get("/", headers={**BROWSER, "cookie": f"{sessions.NAME}={wrong}"})
        assert answer.status_code == 303, wrong
    both = {**BROWSER, "cookie": f"{sessions.NAME}=planted; {sessions.NAME}={value}"}
    assert (await guarded.client.get("/", headers=both)).status_code == 200


async def test_a_cookie_from_before_is_not_continued(guarded: Keyed) -> None:
    """Session fixation: who planted the cookie does not know the one of the session."""
    _, alice = await guarded.key("alice")
    attacker, victim = Browser(guarded), Browser(guarded)
    await attacker.sign_in(alice)
    planted = attacker.session()
    page = await victim.get("/sign-in")
    victim.http.cookies.set(sessions.NAME, planted or "")
    answer = await victim.http.post("/sign-in", data={"key": alice, "token": token(page)})
    assert cookie(answer, sessions.NAME)["value"] not in (planted, "")
    assert cookie(answer, sessions.SIGN_IN_NAME)["max-age"] == "0"


async def test_safe_requests_of_the_json_interface_accept_the_cookie(browser: Browser) -> None:
    """Pages link to them."""
    path = await submitted(browser)
    assert (await browser.get(f"/v1{path}")).json()["status"] == "queued"


async def test_the_secret_before_a_rotation_opens_no_session(guarded: Keyed) -> None:
    """The session would last longer than the secret, which may have been rotated because it leaked."""
    key, old = await guarded.key("alice")
    _, new = await guarded.store.rotate(key.id, 60_000)
    await guarded.ring.refresh()
    browser = Browser(guarded)
    answer = await browser.sign_in(old)
    assert (answer.status_code, browser.session()) == (401, None)
    assert "rotated" in answer.text
    assert (await browser.sign_in(new)).status_code == 303
