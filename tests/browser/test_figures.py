"""Figures and lines to copy, in a real browser: no unit is cut off, and a denied clipboard is no dead end."""

import pytest
from arq.connections import ArqRedis
from playwright.async_api import expect

from jobs import keys
from jobs.histograms import LATENCIES
from jobs.history import History
from jobs.queue import JobQueue
from jobs.workers import Roster
from tests.browser.conftest import SOON, Site, Watched, submitted
from tests.ledger import heartbeat, run_one
from tests.waiting import until

CUT = """() => [...document.querySelectorAll("dd, td, .chart .line, .progress p")]
  .filter((part) => part.clientWidth && part.scrollWidth > part.clientWidth)
  .map((part) => `${part.textContent.trim()}: ${part.scrollWidth} > ${part.clientWidth}`)"""
SLOW = [1_000_000 if i == len(LATENCIES) else 0 for i in range(len(LATENCIES) + 1)]


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_figure_is_cut_off(site: Site, view: Watched, redis: ArqRedis, width: int) -> None:
    """However large: without its unit it would be another figure."""
    page, roster, queue = view.page, Roster(redis), JobQueue(redis, site.queue_settings, ["sentiment"])
    await page.set_viewport_size({"width": width, "height": 800})
    job_id = await submitted(site, "x")
    await run_one(queue)
    await submitted(site, "y")
    large = 123_456_789
    fields = {"leases": 12_345, "window": 123_456, "engine_restarts": 1_234, "budget": 1_234_567}
    await roster.write(heartbeat(**fields))

    async def seen() -> bool:  # by whoever samples first, this test or the API
        await redis.delete(keys.SAMPLING.of("sentiment"))
        await History(queue).record()
        return "host-1" in (await History(queue).read())["sentiment"].seen

    await until(seen)
    counts = {
        "jobs": {"succeeded": large},
        "items": large,
        "batches": 120_000,
        "queued": SLOW,
        "compute": SLOW,
    }
    await roster.write(heartbeat(threads=1_024, tokens=1, padded_tokens=large, **counts, **fields))
    await page.goto("/")
    await expect(page.locator(".numbers")).to_contain_text("inputs/s", timeout=SOON)
    await expect(page.locator(".spreads tbody")).to_contain_text("30.0 min", timeout=SOON)  # they are large
    assert await page.evaluate(CUT) == []
    await page.goto(f"/jobs/{job_id}")
    assert await page.evaluate(CUT) == []


async def test_a_denied_clipboard_leaves_the_line_selected(site: Site, view: Watched) -> None:
    page = view.page
    await page.add_init_script(
        "navigator.clipboard.writeText = () => Promise.reject(new Error('denied'));"
        "document.execCommand = () => false;"
    )
    await page.goto(f"/jobs/{await submitted(site, 'x')}")
    line = await page.locator("#curl-fetch").inner_text()
    await page.locator("[data-copy=curl-fetch]").click()
    await expect(page.locator("[data-copy=curl-fetch]")).to_have_text("Selected")
    assert await page.evaluate("getSelection().toString()") == line
