"""Signing in with a key in a real browser, and what ends that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from jobs.access.api_key import DEFAULT_SCOPES, ApiKey, KeyScope, new_secret
from jobs.access.key_store import KeyStore
from jobs.ledger.shards import Shards
from jobs.store.store import open_store
from tests.browser import chromium
from tests.browser.conftest import Site, Watched, running
from tests.waiting import until

REFUSED = "Failed to load resource: the server responded with a status of 401"
"""What Chromium's console says about a page or fragment that was refused."""

CUT = """() => [...document.querySelectorAll(".jobs :is(.state, .number)")]
  .filter((part) => part.clientWidth && part.scrollWidth > part.clientWidth)
  .map((part) => `${part.textContent.trim()}: ${part.scrollWidth} > ${part.clientWidth}`)"""
"""The cells of the table of jobs whose content is cut off."""

FORBIDDEN = "Failed to load resource: the server responded with a status of 403"

NO_ICON = "Failed to load resource: the server responded with a status of 404"
"""Chromium asks for an icon of the JSON document."""


class Keys(NamedTuple):
    store: KeyStore
    url: str

    async def create(self, owner: str, scopes: frozenset[KeyScope] = DEFAULT_SCOPES) -> tuple[ApiKey, str]:
        """A key that the API knows."""
        made, secret = await self.store.create(ApiKey(id="", owner=owner, digest="", scopes=scopes))

        async def known() -> bool:
            headers = {"authorization": f"Bearer {secret}"}
            async with httpx.AsyncClient(headers=headers, timeout=60) as client:
                return (await client.get(f"{self.url}/v1/models")).status_code != 401

        await until(known)
        return made, secret


@pytest_asyncio.fixture(loop_scope="session")
async def site(redis_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """A site that requires keys."""
    site = Site(redis_url, tmp_path)
    site.settings |= {"auth": "keys", "admin_key": new_secret()}
    async with running(site) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def keys(site: Site) -> AsyncIterator[Keys]:
    store = open_store(site.queue_settings)
    yield Keys(KeyStore(Shards(store, site.queue_settings, ["sentiment"]).first), site.url)
    await store.aclose()


async def sign_in(page: Page, secret: str) -> None:
    await page.get_by_label("API key").fill(secret)
    await page.get_by_role("button", name="Sign in").click()


async def test_sign_in_submit_cancel_and_sign_out(site: Site, keys: Keys, view: Watched) -> None:
    view.pardoned = (NO_ICON,)
    _, secret = await keys.create("alice")
    page = view.page
    with site.worker():
        await page.goto("/try")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(page.get_by_role("link", name="Overview")).to_have_count(0)
        await sign_in(page, secret)
        await expect(page.get_by_role("heading", name="Try it")).to_be_visible()
        await expect(page.locator(".session")).to_contain_text("alice")
        assert await page.evaluate("document.cookie") == "", "no script reads it"
        await page.get_by_label("one input", exact=True).check()
        await page.get_by_role("textbox", name="Input").fill("a film")
        await page.get_by_role("button", name="Submit").click()
        await expect(page.locator("#row-1")).to_contain_text("A FILM")
        await page.get_by_role("textbox", name="Input").fill(site.gated("gate"))
        await page.get_by_role("button", name="Submit").click()
        await expect(page.locator("#answers .pill")).to_have_text("running")
        await page.locator("#job-link").click()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#job h1 .pill")).to_have_text("cancelled")
        site.open_gate("gate")
    await page.get_by_role("link", name="This job as JSON").click()
    await expect(page.locator("body")).to_contain_text('"status":"cancelled"')
    await page.goto("/jobs")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_revoked_key_leads_to_the_sign_in_page(site: Site, keys: Keys, view: Watched) -> None:
    view.pardoned = (REFUSED,)
    key, secret = await keys.create("alice")
    _, other = await keys.create("alice")
    page = view.page
    await page.goto("/models/sentiment")
    await sign_in(page, secret)
    await expect(page.get_by_role("heading", name="sentiment")).to_be_visible()
    await keys.store.revoke(key.id)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.get_by_role("status").first).to_have_text("Your session has ended. Sign in again.")
    await sign_in(page, secret)
    await expect(page.get_by_role("alert")).to_contain_text("not accepted")
    await sign_in(page, other)
    await expect(page.get_by_role("heading", name="sentiment")).to_be_visible()


async def test_a_page_stops_polling_what_its_key_may_not_read(
    browser: Browser, site: Site, keys: Keys, view: Watched
) -> None:
    """The cookie of the page becomes that of a key that only submits, as by a sign-in in another tab.

    It is set in one step: without a cookie, the page would poll in vain and go to the form itself.
    """
    view.pardoned = (FORBIDDEN,)
    _, reader = await keys.create("alice")
    _, submitter = await keys.create("alice", frozenset({"submit"}))
    page = view.page
    await page.goto("/models/sentiment")
    await sign_in(page, reader)
    await expect(page.locator("#recent")).to_be_visible()
    async with await browser.new_context(base_url=site.url) as elsewhere:
        form = await elsewhere.new_page()
        await form.goto("/sign-in")
        await sign_in(form, submitter)
        await expect(form.get_by_role("heading", name="Try it")).to_be_visible()
        cookies: list[Any] = await elsewhere.cookies()
        await page.context.add_cookies(cookies)
    other = await page.context.new_page()
    await other.goto("/try")
    await page.bring_to_front()
    await expect(page.locator("main [hx-get]")).to_have_count(0)
    await expect(page.get_by_text("lacks the scope 'read'").first).to_be_visible()

    asked: list[str] = []
    other.on("request", lambda request: asked.append(request.url))
    await other.bring_to_front()
    for number in (1, 2):
        await other.get_by_role("textbox", name="Input").fill(f"film {number}")
        async with other.expect_response("**/submit"):
            await other.get_by_role("button", name="Submit").click()
        await expect(other.locator("#answers")).to_contain_text("your key lacks the scope read")
    assert [url for url in asked if "/fragments/" in url] == []


async def test_an_admins_table_of_jobs_on_a_phone(site: Site, keys: Keys, view: Watched) -> None:
    """Whose each job is, and its whole state."""
    page = view.page
    await page.set_viewport_size({"width": 360, "height": 800})
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        with site.worker():
            for owner in ("alice", "research-department"):
                _, secret = await keys.create(owner)
                for text in ("x", "raise"):
                    headers = {"authorization": f"Bearer {secret}"}
                    await client.post("/v1/jobs?wait=30", json={"inputs": [text, "y"]}, headers=headers)
    await page.goto("/jobs")
    await sign_in(page, str(site.settings["admin_key"]))
    for path in ("/jobs", "/"):
        await page.goto(path)
        rows = page.locator(".jobs tbody tr:not(.why)")
        await expect(rows).to_have_count(4)
        await expect(page.get_by_role("cell", name="alice")).to_have_count(2)
        await expect(page.get_by_role("cell", name="research-department")).to_have_count(2)
        await expect(rows.get_by_text("succeeded")).to_have_count(4)
        assert await page.evaluate(CUT) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def test_a_link_on_another_site(site: Site, keys: Keys, browser: Browser) -> None:
    """The browser leaves out the cookie of the first request, and sends it with the second."""
    _, secret = await keys.create("alice")
    context = await browser.new_context()
    page = await context.new_page()
    async with elsewhere(f"{site.url}/jobs?state=failed") as url:
        await page.goto(f"{site.url}/jobs")
        await sign_in(page, secret)
        await expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
        await page.goto(url)
        await page.get_by_role("link").click()
        await expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
        assert page.url == f"{site.url}/jobs?state=failed"
        await context.clear_cookies()
        await page.goto(url)
        await page.get_by_role("link").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await chromium.within_twenty_seconds(context.close())


@asynccontextmanager
async def elsewhere(link: str) -> AsyncIterator[str]:
    """The address of a page of another site, which has the link. For browsers `localhost` is another site."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        text = f'<a href="{link}">a link</a>'.encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(text)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + text)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}"
