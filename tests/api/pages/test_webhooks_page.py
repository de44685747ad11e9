"""The page /webhooks: what it shows, and its buttons."""

import re

import httpx

from tests.api.access.browser import Browser, token
from tests.api.access.keyed import Keyed, bearer

URL = "https://example.org/hook?<script>"


async def test_it_shows_endpoints_and_deliveries_and_sends_again(client: httpx.AsyncClient) -> None:
    empty = (await client.get("/webhooks")).text
    assert "No endpoint." in empty
    assert "No delivery." in empty
    made = (await client.post("/v1/webhooks", json={"url": URL, "description": "<b>"})).json()
    sent = await client.post(f"/webhooks/{made['id']}/test")
    assert (sent.status_code, sent.headers["location"]) == (303, "/webhooks")
    page = (await client.get("/webhooks")).text
    assert "<script>" not in page
    assert "&lt;b&gt;" in page
    assert "webhook.test" in page
    assert "pending" in page
    [delivery] = re.findall(r'<tr id="(dlv_\w+)"', page)
    assert (await client.post(f"/webhooks/deliveries/{delivery}/retry")).status_code == 303
    assert made["secret"] not in page
    gone = await client.get("/webhooks?after=dlv_x")
    assert "no longer contains" in gone.text
    assert (await client.post("/webhooks/deliveries/dlv_x/retry")).status_code == 404


async def test_buttons_need_the_token_of_the_session(guarded: Keyed, browser: Browser) -> None:
    _, secret = await guarded.key("alice")
    made = (await guarded.client.post("/v1/webhooks", json={"url": URL}, headers=bearer(secret))).json()
    page = await browser.get("/webhooks")
    assert made["id"] in page.text
    assert f"/webhooks/{made['id']}/test" in page.text
    refused = await browser.http.post(f"/webhooks/{made['id']}/test")
    assert refused.status_code == 403
    sent = await browser.http.post(f"/webhooks/{made['id']}/test", data={"token": token(page)})
    assert sent.status_code == 303
    assert "webhook.test" in (await browser.get("/webhooks")).text


async def test_others_see_nothing(guarded: Keyed) -> None:
    alice, bob = [bearer((await guarded.key(name))[1]) for name in ("alice", "bob")]
    made = (await guarded.client.post("/v1/webhooks", json={"url": URL}, headers=alice)).json()
    assert made["id"] not in (await guarded.client.get("/webhooks", headers=bob)).text
    assert (await guarded.client.get("/webhooks?owner=alice", headers=bob)).status_code == 404
