"""What a person does on the pages, in a real browser: nothing is reloaded, nothing stale goes unsaid."""

import signal

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser import chromium
from tests.browser.conftest import LABELS_STAY, Site, Watched, submitted, unloaded
from tests.waiting import until

QUICK = """() => {
  const last = window.took.slice(-15);
  return last.length === 15 && last.filter((each) => each < 100).length >= 5;
}"""


async def test_submit_on_the_page_and_see_the_answer(site: Site, view: Watched) -> None:
    page = view.page
    with site.worker():
        await page.goto("/")
        await page.get_by_role("link", name="Try it", exact=True).click()
        await page.get_by_label("one input", exact=True).check()
        await page.get_by_role("textbox", name="Input").fill("a <b>wonderful</b> film")
        await page.evaluate("window.mark = 1")
        await page.get_by_role("button", name="Submit").click()
        await expect(page.locator("#row-1")).to_contain_text("A <B>WONDERFUL</B> FILM")
        await expect(page.locator("#answers .pill")).to_have_text("succeeded")
        await expect(page.locator("#curl-submit")).to_contain_text("curl -s http://127.0.0.1")
        assert not await unloaded(page)


async def test_the_curl_line_follows_what_is_typed(site: Site, view: Watched) -> None:
    page = view.page
    await page.goto("/try")
    await page.get_by_label("one input per line").check()
    text = page.get_by_role("textbox", name="Input")
    await text.fill("it's\n<i>typed</i>")
    line = page.locator("#curl-submit")
    await expect(line).to_contain_text('"<i>typed</i>"')
    await text.fill("")
    await expect(line).to_have_count(0)
    await text.fill("another")
    await expect(line).to_contain_text('"inputs":"another"')


async def test_the_chosen_code_stays_chosen_and_is_copied(site: Site, view: Watched) -> None:
    page = view.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.add_init_script(LABELS_STAY)
    await page.goto("/try")
    curl, script = page.locator("#curl-submit"), page.locator(".sample pre", has_text="await fetch(")
    await expect(curl).to_be_visible()
    await expect(script).to_be_hidden()
    await page.get_by_text("JavaScript", exact=True).first.click()
    await expect(script).to_be_visible()
    await page.get_by_role("textbox", name="Input").fill("another")
    await expect(script).to_contain_text('"inputs": "another"')
    await expect(curl).to_be_hidden()
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await script.text_content()


async def test_the_answers_of_ten_lines_appear_one_by_one(site: Site, view: Watched) -> None:
    page = view.page
    with site.worker():
        await page.goto("/try")
        await page.get_by_label("one input per line").check()
        await page.get_by_role("textbox", name="Input").fill("\n".join(site.gated(f"{i}") for i in range(10)))
        await page.evaluate("window.mark = 1")
        await page.get_by_role("button", name="Submit").click()
        for i in range(10):
            await expect(page.locator("#done")).to_have_text(str(i))
            await expect(page.locator("#answers .scores, #answers td pre")).to_have_count(i)
            assert await page.locator("#progress").get_attribute("value") == str(i)
            site.open_gate(f"{i}")
        await expect(page.locator("#answers .pill")).to_have_text("succeeded")
        await expect(page.locator("#answers .scores, #answers td pre")).to_have_count(10)
        assert await page.locator("#answers[hx-get]").count() == 0, "it asks no more"
        await page.locator("#job-link").click()
        await expect(page.locator("h1")).to_have_text("Job succeeded")


async def test_an_error_is_shown_at_its_field(site: Site, view: Watched) -> None:
    page, view.pardoned = view.page, ("Failed to load resource",)
    await page.goto("/try")
    await page.evaluate("window.mark = 1")
    await page.get_by_label("one input per line").check()
    await page.locator("#text").fill("first\n" + "x" * 110_000)
    await page.locator("#submit").click()
    error = page.locator("#text-error")
    await expect(error).to_contain_text("line 2: ")
    await expect(page.locator("#text")).to_be_focused()
    assert (await page.locator("#text").input_value()).startswith("first\n")
    await page.locator("#text").fill("first\nsecond")
    await page.locator("#submit").click()
    await expect(page.locator("#row-2")).to_be_visible()
    await expect(error).to_have_count(0)
    assert not await unloaded(page)


async def test_a_jobs_page_goes_from_queued_to_succeeded(site: Site, view: Watched) -> None:
    page = view.page
    job_id = await submitted(site, site.gated("go"))
    await page.goto(f"/jobs/{job_id}")
    await page.evaluate("window.mark = 1")
    heading = page.locator("h1")
    await expect(heading).to_have_text("Job queued")
    with site.worker():
        await expect(heading).to_have_text("Job running")
        site.open_gate("go")
        await expect(heading).to_have_text("Job succeeded")
    await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    await expect(page.locator(".batch")).to_contain_text("The input ran alone")
    assert not await unloaded(page)


async def test_the_cancel_button_cancels(site: Site, view: Watched) -> None:
    page = view.page
    await page.goto(f"/jobs/{await submitted(site, 'x')}")
    await page.evaluate("window.mark = 1")
    async with page.expect_request("**/fragments/jobs/**"):
        pass  # the page asks for news, and is kept waiting for them: the click must not be dropped for that
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("h1")).to_have_text("Job cancelled")
    assert not await unloaded(page)


async def test_a_keyboard_does_not_lose_its_place(site: Site, view: Watched) -> None:
    page = view.page
    await page.goto("/try")
    await page.locator("#text").fill("x")
    await page.locator("#submit").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#row-1")).to_be_visible()
    assert await page.evaluate("document.activeElement.id") == "submit"
    assert await page.locator("#answers [aria-live=polite] .pill").count() == 1, "the state is announced"
    await page.goto(f"/jobs/{await submitted(site, 'x')}")
    await page.locator("#cancel").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Job cancelled")
    await page.wait_for_function("document.activeElement.id === 'job'")


BACKGROUND = "(part) => getComputedStyle(part).backgroundColor"
FREE = """() => { scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  const [jobs, bar] = ["recent", "stale"].map((id) => document.getElementById(id).getBoundingClientRect());
  return jobs.bottom < bar.top; }"""


async def test_the_page_says_when_updates_stop(site: Site, view: Watched) -> None:
    page = view.page
    banner, health = page.locator("#stale"), page.locator(".health")
    assert site.api is not None
    with site.worker():
        await page.goto("/")
        await expect(health).to_contain_text("All is well.")
        green = await health.evaluate(BACKGROUND)
        site.api.send_signal(signal.SIGSTOP)
        try:
            await expect(banner).to_be_visible()
            await expect(banner).to_contain_text("No answer for")
            assert await health.evaluate(BACKGROUND) != green, "it may not be well any more"
            await page.set_viewport_size({"width": 360, "height": 640})
            assert await page.evaluate(FREE), "the bar covers nothing of the page's end"
        finally:
            site.api.send_signal(signal.SIGCONT)
        await expect(banner).to_be_hidden()
    view.complaints.clear()  # requests that timed out


async def test_what_is_focused_or_open_stays_so_while_the_page_refreshes(site: Site, view: Watched) -> None:
    page = view.page
    job_id = await submitted(site, "x")
    await page.goto("/")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.locator("summary").click()
    await page.locator(f"#link-{job_id}").focus()
    newer = await submitted(site, "y")
    await expect(page.locator(f"#link-{newer}")).to_be_visible()
    assert await page.evaluate("document.activeElement.id") == f"link-{job_id}"
    await expect(page.locator(".legend dl")).to_be_visible()


async def test_without_javascript_forms_and_links_do_the_same(browser: Browser, site: Site) -> None:
    context = await browser.new_context(base_url=site.url, java_script_enabled=False)
    page = await context.new_page()
    with site.worker():
        await page.goto("/try")
        await page.locator("#text").fill("first\nsecond")
        await page.locator("input[value=lines]").check()
        await page.locator("#submit").click()
        await expect(page.locator("#row-2")).to_contain_text("SECOND")  # it reloads by itself
        await expect(page.locator("h1")).to_contain_text("Job succeeded")  # an answer may be there before
        await page.goto("/")
        await page.locator(".filters").get_by_text("succeeded", exact=True).click()
        await expect(page.locator("#recent tbody tr")).to_have_count(1)
    await chromium.within_twenty_seconds(context.close())


@pytest.mark.parametrize("width", [360, 1600])
async def test_nothing_is_clipped_or_moves(site: Site, view: Watched, width: int) -> None:
    """No page scrolls sideways, and numbers that change push nothing around."""
    page = view.page
    await page.set_viewport_size({"width": width, "height": 800})
    job_id = await submitted(site, "x" * 500)
    for path in ("/try", f"/jobs/{job_id}", "/docs", "/jobs/nix", "/models/sentiment", "/jobs", "/"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
    view.complaints.clear()  # the job that is not there
    await page.evaluate(
        "window.shift = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())"
        " window.shift += entry.value; }).observe({ type: 'layout-shift' })"
    )
    newest = ""
    for _ in range(5):
        newest = await submitted(site, "y")
    await expect(page.locator(f"#job-{newest}")).to_be_visible()
    assert await page.evaluate("window.shift") < 0.05


async def test_a_thousand_jobs_in_flight_leave_the_page_responsive(site: Site, view: Watched) -> None:
    page = view.page
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        for _ in range(1_000):
            await client.post("/v1/jobs", json={"inputs": site.gated("never")})
    with site.worker():
        await page.goto("/")
        await expect(page.locator(".health")).to_contain_text("All is well.")
        await expect(page.locator("#model-sentiment .pill")).to_have_text("busy")
        await page.evaluate(
            "window.took = []; addEventListener('keydown', (event) => requestAnimationFrame(() => setTimeout("
            "() => window.took.push(performance.now() - event.timeStamp))), true)"
        )
        await page.locator("summary").focus()

        async def measured() -> bool:
            await page.keyboard.press(
                "Space"
            )  # opens and closes the legend, while fragments come each second
            return bool(await page.evaluate(QUICK))

        # from the key to the frame that shows it; a busy machine delays some, a slow page delays all
        await until(measured)
