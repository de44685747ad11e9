"""Eleven models in a real browser: a short overview, a page for each model, and all jobs with a search."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest_asyncio
from arq.connections import ArqRedis
from playwright.async_api import expect

from api.pages.fragments import SHOWN
from jobs.monitoring.roster import Roster
from tests.browser.conftest import Site, Watched, running, submitted
from tests.ledger import first_shard, heartbeat

OTHERS = ["org/embedder", *(f"model-{i}" for i in range(9))]
MODELS = ["sentiment", *OTHERS]


@pytest_asyncio.fixture(loop_scope="session")
async def site(redis_url: str, tmp_path: Path, redis: ArqRedis) -> AsyncIterator[Site]:
    """A site with all models, each with a live worker."""

    async def beat() -> None:
        while True:
            for i, model in enumerate(MODELS):
                await Roster(first_shard(redis)).write(heartbeat(f"host-{i}", model, pid=i))
            await asyncio.sleep(0.5)

    beating = asyncio.create_task(beat())
    async with running(Site(redis_url, tmp_path, OTHERS)) as made:
        yield made
    beating.cancel()
    with suppress(asyncio.CancelledError):
        await beating


async def test_the_overview_of_many_models_is_short(site: Site, view: Watched) -> None:
    page = view.page
    for _ in range(SHOWN):
        await submitted(site, "x")
    await page.goto("/")
    await expect(page.locator(".health")).to_contain_text("All is well.")
    await expect(page.locator(".models tbody tr")).to_have_count(len(MODELS))
    await expect(page.locator(".workers tbody tr")).to_have_count(len(MODELS))
    await expect(page.locator("#recent tbody tr")).to_have_count(SHOWN)
    assert int(await page.evaluate("document.documentElement.scrollHeight")) < 1_600
    for width in (1280, 1160, 1000, 800, 600, 360):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate(
            "[...document.querySelectorAll('.card')].every((card) => card.scrollWidth <= card.clientWidth)"
        ), f"a card is cut off at {width} px"


async def test_a_row_leads_to_the_page_of_its_model(site: Site, view: Watched) -> None:
    page = view.page
    await page.goto("/")
    for name in ("org/embedder", "sentiment"):
        await page.locator(".models").get_by_role("link", name=name, exact=True).click()
        await expect(page.locator("h1")).to_have_text(name)
        await expect(page.locator("#charts svg")).to_have_count(6)
        await expect(page.locator(".workers tbody tr")).to_have_count(1)
        if name == "org/embedder":
            await page.get_by_role("link", name="Overview").click()
    await page.evaluate("window.mark = 1")
    await submitted(site, "x")
    await expect(page.locator(".numbers div").first).to_have_text(re.compile("waiting *1 job"))
    await expect(page.locator("#recent tbody tr")).to_have_count(1)
    await expect(page.locator("#chart-queue")).to_have_attribute("aria-label", re.compile("waiting 1 job,"))
    assert await page.evaluate("window.mark") == 1, "it was not loaded again"
    await page.get_by_role("link", name="Try it").last.click()
    await expect(page.locator("#model")).to_have_value("sentiment")


async def test_the_end_of_an_id_finds_the_job(site: Site, view: Watched) -> None:
    page = view.page
    ids = [await submitted(site, "x") for _ in range(3)]
    for path, job_id in zip(("/", "/jobs", "/models/sentiment"), ids, strict=True):
        await page.goto(path)
        await page.get_by_role("search").get_by_role("textbox").fill(job_id[-7:])
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/jobs/{job_id}")
        await expect(page.locator("h1")).to_have_text("Job queued")


async def test_older_jobs_are_on_the_next_page(site: Site, view: Watched) -> None:
    page = view.page
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        for _ in range(55):
            await client.post("/v1/jobs", json={"inputs": "x"})
    await page.goto("/")
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Jobs").click()
    rows = page.locator("#jobs tbody tr")
    await expect(rows).to_have_count(50)
    await page.get_by_role("link", name="Older").click()
    await expect(rows).to_have_count(5)
    await expect(page.get_by_role("link", name="Older")).to_have_count(0)
    await page.get_by_role("link", name="Newest").click()
    await expect(rows).to_have_count(50)
    await page.get_by_role("link", name="org/embedder").click()
    await expect(page.locator("#jobs")).to_contain_text("No job of org/embedder.")
