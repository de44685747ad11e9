"""Figures and lines to copy, in a real browser: no unit is cut off, and a denied clipboard is no dead end."""

import re
from typing import Any

import pytest
from arq.connections import ArqRedis
from playwright.async_api import expect

from jobs.ledger import keys
from jobs.monitoring.histograms import LATENCIES
from jobs.monitoring.history import History
from jobs.monitoring.roster import Roster
from tests.beating import beating
from tests.browser.conftest import LABELS_STAY, Site, Watched, submitted
from tests.ledger import JobQueue, first_shard, heartbeat, run_one
from tests.waiting import until

CUT = """() => [...document.querySelectorAll("dd, td, .chart .line, .progress p")]
  .filter((part) => part.clientWidth && part.scrollWidth > part.clientWidth)
  .map((part) => `${part.textContent.trim()}: ${part.scrollWidth} > ${part.clientWidth}`)"""
SLOW = [1_000_000 if i == len(LATENCIES) else 0 for i in range(len(LATENCIES) + 1)]


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_figure_is_cut_off(site: Site, view: Watched, redis: ArqRedis, width: int) -> None:
    """However large: without its unit it would be another figure."""
    page, roster, queue = (
        view.page,
        Roster(first_shard(redis)),
        JobQueue(redis, site.queue_settings, ["sentiment"]),
    )
    await page.set_viewport_size({"width": width, "height": 800})
    job_id = await submitted(site, "x")
    await run_one(queue)
    await submitted(site, "y")
    large = 1_234_567
    fields: dict[str, Any] = {
        "leases": 12_345,
        "window": 123_456,
        "engine_restarts": 1_234,
        "budget": 1_234_567,
    }

    async def seen() -> bool:  # by whoever samples first, this test or the API
        await roster.write(heartbeat(**fields))
        await redis.delete(keys.SAMPLING.of("sentiment"))
        await History(queue.shards).record()
        return "host-1" in (await History(queue.shards).read())["sentiment"].seen

    await until(seen)
    counts: dict[str, Any] = {
        "jobs": {"succeeded": large},
        "items": large,
        "batches": 1_200,
        "queued": SLOW,
        "compute": SLOW,
    }
    beat = heartbeat(threads=1_024, tokens=1, padded_tokens=large, **counts, **fields)
    async with beating(redis, beat):
        await page.goto("/models/sentiment")
        await expect(page.locator(".numbers")).to_contain_text("inputs/s")
        await expect(page.locator(".spreads tbody")).to_contain_text("> 30 min")  # they are large
        assert await page.evaluate(CUT) == []
        await page.goto("/")
        await expect(page.locator("#model-sentiment")).to_contain_text("> 30 min")
        assert await page.evaluate(CUT) == []
        await page.goto(f"/jobs/{job_id}")
        assert await page.evaluate(CUT) == []


async def test_a_chart_is_read_with_the_pointer_and_with_the_keyboard(
    site: Site, view: Watched, redis: ArqRedis
) -> None:
    """The reading outlives the refresh each second, and moves nothing."""
    page, queue = view.page, JobQueue(redis, site.queue_settings, ["sentiment"])

    async def sampled() -> bool:
        await redis.delete(keys.SAMPLING.of("sentiment"))
        return bool(await History(queue.shards).record())

    await until(sampled)
    await submitted(site, "x")
    await page.goto("/")
    await page.evaluate("window.mark = document.documentElement.scrollHeight")
    chart, reading = page.locator("#chart-queue"), page.locator("#reading")
    await chart.hover(position={"x": 2, "y": 30})
    await expect(reading).to_have_text(re.compile(r"^\d\d:\d\d:\d\d UTC: waiting \d jobs?, running 0 jobs$"))
    async with page.expect_response("**/fragments/charts**"):
        pass
    await expect(reading).to_be_visible()
    await page.locator("h2").first.hover()
    await expect(reading).to_be_hidden()
    await page.keyboard.press("Tab")
    await page.locator("summary").focus()
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "chart-queue"
    await expect(reading).to_contain_text("waiting 1 job,")
    for _ in range(30):
        await page.keyboard.press("ArrowLeft")
    await expect(reading).to_contain_text("waiting 0 jobs,")
    await page.keyboard.press("Escape")
    await expect(reading).to_be_hidden()
    assert await page.evaluate("window.mark === document.documentElement.scrollHeight")


POINTS = "100|–|–;105|1 ms|2 ms;110|–|–;115|3 ms|–;120|–|–"  # noqa: RUF001 - the dash is what charts have
DOT = """(dots) => { const drawn = getComputedStyle(dots);
  return [drawn.strokeWidth, drawn.strokeLinecap, drawn.vectorEffect]; }"""


async def test_the_keys_go_along_what_has_a_value_and_a_lone_point_is_seen(site: Site, view: Watched) -> None:
    page = view.page
    await page.route("**/fragments/charts**", lambda route: route.fulfill(status=204))
    await page.goto("/")
    chart, reading = page.locator("#chart-queued"), page.locator("#reading")
    await chart.evaluate(
        "(chart, points) => { chart.dataset.points = points; chart.dataset.now = 120; }", POINTS
    )
    await chart.focus()
    for key, values in (
        ("ArrowLeft", "p50 3 ms, p95 –"),  # noqa: RUF001
        ("ArrowLeft", "p50 1 ms, p95 2 ms"),
        ("ArrowLeft", "p50 1 ms, p95 2 ms"),
        ("ArrowRight", "p50 3 ms, p95 –"),  # noqa: RUF001
        ("Home", "p50 1 ms, p95 2 ms"),
        ("End", "p50 3 ms, p95 –"),  # noqa: RUF001
    ):
        await page.keyboard.press(key)
        await expect(reading).to_contain_text(f"UTC: {values}")
    assert await chart.locator(".dots.first").evaluate(DOT) == ["5px", "round", "non-scaling-stroke"]


async def test_an_entity_stays_on_one_line_with_its_label(site: Site, view: Watched, redis: ArqRedis) -> None:
    page, queue = view.page, JobQueue(redis, site.queue_settings, ["sentiment"])
    text = "Ada Lovelace and Charles Babbage met in London at the Royal Astronomical Society in June 1833."
    words = "Ada Lovelace", "Charles Babbage", "London", "Royal Astronomical Society"
    entities = [
        {"entity_group": "NAME", "word": word, "start": text.index(word), "end": text.index(word) + len(word)}
        for word in words
    ]
    await page.goto("/try")
    await page.get_by_label("one input per line").check()
    await page.locator("#text").fill(text)
    await page.locator("#submit").click()
    await expect(page.locator("#answers .pill")).to_have_text("queued")
    await run_one(queue, [{"output": entities}])
    await expect(page.locator("mark")).to_have_count(len(words))
    assert (
        await page.locator("mark").evaluate_all("(marks) => marks.filter((mark) => mark.offsetHeight > 30)")
        == []
    )


async def test_a_denied_clipboard_leaves_the_line_selected(site: Site, view: Watched) -> None:
    page = view.page
    await page.add_init_script(
        "navigator.clipboard.writeText = () => Promise.reject(new Error('denied'));"
        "document.execCommand = () => false;"
    )
    await page.add_init_script(LABELS_STAY)
    await page.goto(f"/jobs/{await submitted(site, 'x')}")
    line = await page.locator("#curl-fetch").inner_text()
    await page.locator("[data-copy=curl-fetch]").click()
    await expect(page.locator("[data-copy=curl-fetch]")).to_have_text("Selected")
    assert await page.evaluate("getSelection().toString()") == line
