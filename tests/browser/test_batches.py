"""The pages of batches in a browser: they follow a batch to its end without being loaded again."""

from playwright.async_api import expect

from bulk.batches.batch import Asked
from bulk.batches.batches import Batches
from bulk.batches.runs import Part, Runs
from jobs.ledger.shards import Shards
from jobs.owners import Sender
from jobs.store.store import open_store
from tests.browser.conftest import Site, Watched

ASKED = Asked("/v1/jobs", "file-12345678", "24h", 86_400, Sender(""))


async def test_pages_follow_a_batch_and_cancel_another(site: Site, view: Watched) -> None:
    """The test does the part of the bulk process."""
    page, store = view.page, open_store(site.queue_settings)
    first = Shards(store, site.queue_settings, ["sentiment"]).first
    batches, runs = Batches(first), Runs(first)
    try:
        batch = await batches.create(ASKED)
        await page.goto("/")
        await page.get_by_role("link", name="Batches", exact=True).click()
        await page.evaluate("window.mark = 1")
        row = page.locator(f"#{batch.id}")
        await expect(row.locator(".pill")).to_have_text("validating")
        taken = await runs.take()
        assert taken is not None
        await runs.begin(taken, model="sentiment", total=2_000, chunks=2, table="t")
        await expect(row).to_contain_text("0 of 2,000")
        await runs.chunk_done(taken, 0, Part("0-a", 1_000, 0, 0, 0))
        await expect(row).to_contain_text("1,000 of 2,000")
        assert await page.evaluate("window.mark") == 1
        await row.get_by_role("link").click()
        await page.evaluate("window.mark = 1")
        await expect(page.locator("#done")).to_have_text("1,000")
        await runs.chunk_done(taken, 1, Part("1-a", 999, 1, 0, 0))
        await expect(page.locator("#batch .progress")).to_contain_text("1 failed")
        await runs.finalize(taken)
        await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        other = await batches.create(ASKED)
        await page.goto(f"/batches/{other.id}")
        await page.evaluate("window.mark = 1")
        await page.locator("#cancel").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Batch cancelling")
        await page.wait_for_function("document.activeElement.id === 'batch'")
        assert await page.evaluate("window.mark") == 1
    finally:
        await store.aclose()
