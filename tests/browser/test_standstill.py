"""A Redis that stands still, in a real browser: nothing old looks new, and a submit can be sent again."""

import re

from arq.connections import ArqRedis
from playwright.async_api import expect

from jobs.ledger import keys
from tests.browser.conftest import Site, Watched, submitted
from tests.valkey import Server

UNANSWERED = ("htmx:", "Failed to load resource")
"""What the console says of requests that timed out, or had 503 for an answer."""

FOUR_OR_MORE = re.compile(r"^as of ([4-9]|[1-9]\d+) s ago$")


async def test_charts_and_jobs_say_how_old_they_are(site: Site, view: Watched, server: Server) -> None:
    page, view.pardoned = view.page, UNANSWERED
    job_id = await submitted(site, "x")
    await page.goto("/")
    await expect(page.locator(f"#job-{job_id}")).to_be_visible()
    with server.standing_still():
        for part in ("charts", "recent"):
            await expect(page.locator(f"#{part}-age")).to_have_text(FOUR_OR_MORE)
            await expect(page.locator(f"#{part}.is-old")).to_be_visible()
        await expect(page.locator(".health")).to_contain_text("Redis cannot be reached")
        await expect(page.locator(f"#job-{job_id}")).to_be_visible()
    for part in ("charts", "recent"):
        await expect(page.locator(f"#{part}-age")).to_be_hidden()
        await expect(page.locator(f"#{part}.is-old")).to_have_count(0)
    await expect(page.locator(".health")).to_contain_text("No live worker")


async def test_a_submit_without_an_answer_can_be_sent_again(
    site: Site, view: Watched, server: Server, redis: ArqRedis
) -> None:
    page, view.pardoned = view.page, UNANSWERED
    await page.goto("/try")
    await page.get_by_label("one input per line").check()
    await page.locator("#text").fill("first\nsecond")
    await page.evaluate("window.mark = 1")
    with server.standing_still():
        await page.locator("#submit").click()
        alert = page.locator("#answer [role=alert]")
        await expect(alert).to_contain_text("No answer in time.")
        await expect(alert).to_contain_text("a request that was accepted is not run twice")
        again = page.get_by_role("button", name="Send again")
        await again.focus()
        await page.keyboard.press("Enter")
    await expect(page.locator("#row-2")).to_contain_text("second")
    await expect(page.locator("#answers .pill")).to_have_text("queued")
    assert await page.evaluate("document.activeElement.id") == "answer", (
        "the button is gone, its place is not"
    )
    assert await redis.zcard(keys.RECENT.pattern) == 1, "both tries may have reached Redis"
    await page.locator("#submit").click()
    await expect(page.locator("#answers")).to_contain_text("position 2 in the queue")
    assert await redis.zcard(keys.RECENT.pattern) == 2, "who submits once more wants it once more"
    assert await page.evaluate("window.mark") == 1


async def test_a_jobs_page_comes_back_by_itself(site: Site, view: Watched, server: Server) -> None:
    page, view.pardoned = view.page, UNANSWERED
    await page.goto(f"/jobs/{await submitted(site, 'x')}")
    await page.evaluate("window.mark = 1")
    with server.standing_still():
        await expect(page.locator("#stale")).to_be_visible()
    await expect(page.locator("#stale")).to_be_hidden()
    await expect(page.locator("h1")).to_contain_text("queued")
    assert await page.evaluate("window.mark") == 1
