"""A browser, shared by these tests, and a running Batchline; an error in its console fails the test.

All these tests run on one event loop, which the browser needs. Each has a context of its own: no cookie,
page or cache is shared.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from arq.connections import ArqRedis
from playwright.async_api import Browser, BrowserContext, Page, expect

from jobs.settings import Settings
from tests import processes
from tests.browser import chromium
from tests.conftest import checked_client
from tests.ports import free_port
from tests.waiting import until

VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => console.error("CSP: " + event.violatedDirective));
"""


SOON = 30_000
"""Milliseconds within which an expected change must be visible; a slow machine needs some of them."""

expect.set_options(timeout=SOON)

LABELS_STAY = """{
  const later = window.setTimeout;
  window.setTimeout = (...given) => (given[1] === 1500 ? 0 : later(...given));
}"""
"""What a button says after a copy stays; else a slow test may look too late."""

ON_ONE_LOOP = pytest.mark.asyncio(loop_scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(ON_ONE_LOOP, append=False)


class Site:
    """An API process and a model whose inputs wait for files; its worker runs when a test says so.

    `others` are models that no process runs.
    """

    def __init__(self, redis_url: str, folder: Path, others: Sequence[str] = ()) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        models = processes.write_models(folder, max_batch_items=1, batch_timeout=600.0)
        with models.open("a") as file:
            for name in others:
                file.write(f'\n[models."{name}"]\npipeline = "tests.worker.poison:Poison"\n')
        self.settings = {"redis_url": redis_url, "models_file": models, "port": port}
        self.queue_settings = Settings(redis_url=redis_url, data_dir=folder)
        """For a test that does a worker's part itself."""
        self.api: Popen[bytes] | None = None

    def worker(self) -> AbstractContextManager[Popen[bytes]]:
        """A worker for as long as the block; SIGKILL ends it."""
        return processes.running("worker", **self.settings)

    def gated(self, name: str) -> str:
        """An input that is run once `open_gate(name)` was called."""
        return f"until {self.folder / name}"

    def open_gate(self, name: str) -> None:
        (self.folder / name).touch()


async def unloaded(page: Page) -> bool:
    """Whether the page was loaded anew since `window.mark` became 1."""
    return bool(await page.evaluate("window.mark !== 1"))


async def submitted(site: Site, text: str) -> str:
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        return str((await client.post("/v1/jobs", json={"inputs": text})).json()["id"])


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Site]:
    """The site with its API process."""

    async def answers() -> bool:
        return await processes.alive(site.url)

    with ExitStack() as stack:
        site.api = stack.enter_context(processes.running("api", **site.settings))
        await until(answers)
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def redis(settings: Settings) -> AsyncIterator[ArqRedis]:
    async with checked_client(settings) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def site(redis_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with running(Site(redis_url, tmp_path)) as made:
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if chromium.found() is None:
        if os.environ.get("CI"):
            pytest.fail(chromium.MISSING)
        pytest.skip(chromium.MISSING)
    async with chromium.launched() as launched:
        yield launched


LATE = ("htmx:timeout", "htmx:afterRequest")
"""A fragment took five seconds, as it may on a slow machine, and is asked for again. A failure says more."""


class Watched:
    """A page and its complaints: console errors, script errors, requests to other hosts."""

    def __init__(self, page: Page, complaints: list[str]) -> None:
        self.page = page
        self.complaints = complaints
        self.pardoned: tuple[str, ...] = ()
        """Beginnings of complaints that a test expects."""


async def watched(context: BrowserContext, url: str) -> Watched:
    page = await context.new_page()
    complaints: list[str] = []
    here = urlsplit(url).netloc
    page.on(
        "console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: complaints.append(asked.url) if urlsplit(asked.url).netloc not in (here, "") else None,
    )
    await page.add_init_script(VIOLATIONS)
    return Watched(page, complaints)


@pytest_asyncio.fixture(loop_scope="session")
async def view(browser: Browser, site: Site) -> AsyncIterator[Watched]:
    """A page that must have no complaints at the end of the test."""
    context = await browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900})
    seen = await watched(context, site.url)
    yield seen
    await chromium.within_twenty_seconds(context.close())
    assert [words for words in seen.complaints if not words.startswith((*LATE, *seen.pardoned))] == []
