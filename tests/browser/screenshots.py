"""`make screenshots`: every page in both themes at three widths, while the demo model works.

A second API process on the same queue requires keys: pages for people who sign in, as an admin sees them.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
from playwright.async_api import Browser, Page

from jobs.access.api_key import ApiKey, new_secret
from jobs.access.key_store import KeyStore
from jobs.ledger.shards import Shards
from jobs.settings import Settings
from jobs.store.store import open_store
from tests import processes, valkey
from tests.browser import chromium
from tests.ports import free_port
from tests.waiting import until

OUT = Path("screenshots")
THEMES = ("light", "dark")
WIDTHS = (360, 1280, 1600)
WORK = 75.0
"""Seconds of work before the pictures, so that charts and figures of a minute have something to show."""

PAGES = {
    "overview": "/",
    "model": "/models/sentiment",
    "jobs": "/jobs",
    "batches": "/batches",
    "webhooks": "/webhooks",
    "missing": "/jobs/nix",
    "api": "/docs",
    "try": "/try",
}
SIGNED_IN = {"owners": "/owners", "owner": "/owners?owner=alice", "usage": "/usage"}

WORDS = """
a wonderful film that moved me and I would see it again dull badly acted mess with no heart at all
the plot was fine but late in every scene somebody talks for too long still the music carries it
""".split()  # noqa: SIM905
LINES = """
I laughed, I cried, I will see it again.
Two hours that felt like four.
The lead carries every scene she is in.
A script that trusts nobody to think.
Warm, strange and beautifully shot.
It never decides what it wants to be.
The best thing I have seen this year.
Competent, forgettable, loud.
A small film with a large heart.
I left before the end.
"""


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = stack.enter_context(valkey.running(Path(folder)))
        port = free_port()
        settings = {"redis_url": server.url(), "port": port, "log_level": "warning"}
        stack.enter_context(processes.running("api", **settings))
        secret, keyed_port = new_secret(), free_port()
        keyed = settings | {"port": keyed_port, "auth": "keys", "admin_key": secret}
        stack.enter_context(processes.running("api", **keyed))
        keyed_url = f"http://127.0.0.1:{keyed_port}"
        stack.enter_context(processes.running("worker", **settings))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await until(lambda: ready(client))
            await until(lambda: processes.alive(keyed_url))
            await with_owners(Settings(redis_url=server.url(), data_dir=Path(folder)), keyed_url)
            busy = asyncio.create_task(work(client))
            await asyncio.sleep(WORK)
            async with chromium.launched() as browser:
                for theme in THEMES:
                    for width in WIDTHS:
                        await pictures(browser, str(client.base_url), theme, width)
                        await signed_in(browser, keyed_url, secret, theme, width)
            busy.cancel()


async def ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def work(client: httpx.AsyncClient) -> None:
    """Reviews of many lengths, now few and now many."""
    chance = random.Random(7)
    while True:
        for _ in range(chance.choice((1, 2, 4, 12))):
            texts = [
                " ".join(chance.choices(WORDS, k=chance.randint(3, 60)))
                for _ in range(chance.choice((1, 1, 4)))
            ]
            await client.post("/v1/jobs", json={"inputs": texts})
        await asyncio.sleep(chance.expovariate(3))


async def with_owners(settings: Settings, url: str) -> None:
    """Jobs of two owners, one of them with two keys."""
    store = open_store(settings)
    known = KeyStore(Shards(store, settings, ["sentiment"]).first)
    for owner, share in (("alice", 1.0), ("alice", 3.0), ("research-department", 2.0)):
        _, secret = await known.create(ApiKey(id="", owner=owner, digest="", weight=share))
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {secret}"}) as client:
            await until(partial(submits, client))
    await store.aclose()


async def submits(client: httpx.AsyncClient) -> bool:
    """Whether the API knows the client's key by now; then it has a job more."""
    return (await client.post("/v1/jobs", json={"inputs": LINES.strip().splitlines()})).status_code == 202


async def signed_in(browser: Browser, url: str, secret: str, theme: str, width: int) -> None:
    async with opened(browser, url, theme, width) as page:
        await page.goto("/owners")
        await taken(page, f"sign-in-{theme}-{width}")
        await page.get_by_label("API key").fill(secret)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="Owners").wait_for()
        for name, path in SIGNED_IN.items():
            await page.goto(path)
            await taken(page, f"{name}-{theme}-{width}")


@asynccontextmanager
async def opened(browser: Browser, url: str, theme: str, width: int) -> AsyncIterator[Page]:
    context = await browser.new_context(
        base_url=url,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    yield await context.new_page()
    await chromium.within_twenty_seconds(context.close())


async def pictures(browser: Browser, url: str, theme: str, width: int) -> None:
    async with opened(browser, url, theme, width) as page:
        for name, path in PAGES.items():
            await page.goto(path)
            await taken(page, f"{name}-{theme}-{width}")
        await page.locator("#text").fill(LINES.strip())
        await page.locator("#submit").click()
        await page.locator("#answers .pill.succeeded").wait_for()
        await taken(page, f"tried-{theme}-{width}")
        await page.locator("#job-link").click()
        await page.locator("#job").wait_for()
        await taken(page, f"job-{theme}-{width}")


async def taken(page: Page, name: str) -> None:
    await page.screenshot(path=OUT / f"{name}.png", full_page=True, animations="disabled")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    asyncio.run(main())
