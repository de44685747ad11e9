"""Pictures and sounds in a real browser: dropped, pasted, recorded, and what models found drawn over them."""

import io
import math
import re
import struct
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import pytest_asyncio
from arq.connections import ArqRedis
from playwright.async_api import Browser, Page, Route, expect

from tests.browser import chromium
from tests.browser.conftest import Site, Watched, running
from tests.ledger import JobQueue, run_one
from tests.waiting import until

MODELS = """
[models.photos]
pipeline = "tests.worker.poison:Poison"
input = "image"
max_input_bytes = 200_000
max_pixels = 100_000

[models.sounds]
pipeline = "tests.worker.poison:Poison"
input = "audio"
"""
HOSTILE = '<img src=x onerror="window.ran = 1">'
DROP = """({ zone, files }) => {
  const data = new DataTransfer();
  for (const [name, type, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name, { type }));
  for (const kind of ["dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
  }
}"""
PASTE = """(bytes) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
  const how = { bubbles: true, cancelable: true, clipboardData: data };
  document.body.dispatchEvent(new ClipboardEvent("paste", how));
}"""
MASK: dict[str, Any] = {"url": "/v1/jobs/0-1/files/0-0.png", "content_type": "image/png", "bytes": 9}


def png(width: int = 320, height: int = 240, grey: bool = False) -> bytes:
    """A gradient; a grey one is white on its left half."""
    image = PIL.Image.new("L" if grey else "RGB", (width, height))
    colour = (lambda x, y: 255 * (x < width / 2)) if grey else (lambda x, y: (x % 256, y % 256, 120))
    image.putdata([colour(x, y) for y in range(height) for x in range(width)])
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def wav(seconds: float = 2.0, rate: int = 8_000) -> bytes:
    """A tone that swells twice a second."""
    samples = (
        int(20_000 * math.sin(2_000 * i / rate) * abs(math.sin(6.28 * i / rate)))
        for i in range(int(seconds * rate))
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


@pytest_asyncio.fixture(loop_scope="session")
async def site(redis_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(redis_url, tmp_path)
    with (tmp_path / "models.toml").open("a") as file:
        file.write(MODELS)
    async with running(site) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def queue(site: Site, redis: ArqRedis) -> AsyncIterator[JobQueue]:
    """The part of a worker."""
    queue = JobQueue(redis, site.queue_settings, ["sentiment", "photos", "sounds"])
    yield queue
    await queue.close()


async def answered(queue: JobQueue, model: str, output: Any) -> None:
    """Ends the next job of the model, which has one input, with that output."""

    async def done() -> bool:
        return await run_one(queue, [{"output": output}], model) is not None

    await until(done)


async def serve(page: Page, pattern: str, content: bytes, content_type: str) -> None:
    async def fulfil(route: Route) -> None:
        await route.fulfill(body=content, content_type=content_type)

    await page.route(re.compile(pattern), fulfil)


async def drop(page: Page, *files: tuple[str, str, bytes]) -> None:
    zone = await page.locator("[data-drop]").element_handle()
    await page.evaluate(DROP, {"zone": zone, "files": [(*named, list(data)) for *named, data in files]})


async def holds(page: Page, expression: str) -> None:
    """Returns once the expression is true. Playwright's own way needs a page that allows `eval`."""

    async def true() -> bool:
        return bool(await page.evaluate(expression))

    await until(true)


PLACE = """(part) => {
  const [box, stage] = [part, part.closest(".stage")].map((each) => each.getBoundingClientRect());
  return [box.left - stage.left, box.width].map((length) => length / stage.width)
    .concat((box.top - stage.top) / stage.height);
}"""


TAGS = """() => {
  const drawn = [...document.querySelectorAll("#row-1 .tag")].reverse();
  const tags = drawn.map((tag) => tag.getBoundingClientRect());
  return [tags.map((tag) => tag.top), tags[0].height];
}"""


async def test_a_picture_is_dropped_and_what_was_found_drawn_over_it(
    site: Site, view: Watched, queue: JobQueue
) -> None:
    page = view.page
    await page.goto("/try?model=photos")
    await expect(page.locator(".example img")).to_be_visible()
    await drop(page, (f"{HOSTILE}.png", "image/png", png()))
    thumbnail = page.locator("[data-previews] img")
    await holds(page, "document.querySelector('[data-previews] img')?.naturalWidth === 320")
    await expect(page.locator(".example")).to_be_hidden()
    await expect(page.locator("#curl-submit")).to_contain_text("--data-binary '@<img src=x")
    await page.evaluate(PASTE, list(png(8, 8)))
    await expect(thumbnail).to_have_count(2)
    await page.get_by_role("button", name="Remove pasted.png").click()
    await expect(thumbnail).to_have_count(1)

    await page.get_by_role("button", name="Submit").click()
    await answered(queue, "photos", [{"label": HOSTILE, "score": 0.75}])
    await expect(page.locator("#row-1 .label")).to_have_text(HOSTILE)
    await expect(page.locator("#row-1 td img")).to_have_attribute("alt", re.compile("PNG image"))
    await expect(thumbnail).to_have_count(1)

    await page.get_by_role("button", name="Submit").click()
    found = {"xmin": 20, "ymin": 30, "xmax": 140, "ymax": 200}
    small = {"xmin": 160, "ymin": 60, "xmax": 300, "ymax": 120}
    boxes = [{"label": "cat", "score": 0.98, "box": found}, {"label": HOSTILE, "score": 0.6, "box": small}]
    await answered(queue, "photos", boxes)
    await expect(page.locator(".tag")).to_have_text([HOSTILE, "cat"])
    drawn = await page.locator("#row-1 .box").first.evaluate(PLACE)
    assert drawn == pytest.approx([20 / 320, 120 / 320, 30 / 240], abs=0.02)

    await page.get_by_role("button", name="Submit").click()
    await answered(queue, "photos", [{"label": f"cat {i}", "score": 0.9, "box": found} for i in range(3)])
    await expect(page.locator(".tag")).to_have_text(["cat 2", "cat 1", "cat 0"])
    tops, height = await page.evaluate(TAGS)
    assert [round((top - tops[0]) / height) for top in tops] == [0, 1, 2], "below each other"

    await serve(page, MASK["url"], png(grey=True), "image/png")
    await page.get_by_role("button", name="Submit").click()
    await answered(queue, "photos", [{"label": HOSTILE, "score": 0.9, "mask": MASK}])
    mask = page.locator("#row-1 rect.mask")
    await expect(mask).to_be_visible()
    await page.get_by_role("checkbox", name="onerror").uncheck()
    await expect(mask).to_be_hidden()
    await expect(page.get_by_role("link", name="Download the mask")).to_have_attribute("href", MASK["url"])

    complaint = page.locator("[data-complaint]")
    for file, words in (
        (("large.png", png(8, 8) + bytes(300_000)), "Too large: large.png has 300.* At most 200.0 kB"),
        (("empty.png", b""), "empty.png is empty: it has 0 bytes"),
        (("notes.png", b"some text"), "notes.png is not image data in .*: its first bytes are of none. Supp"),
        (("sound.png", wav(0.1)), r"sound.png is not image data in .*: this is WAV \(audio\)"),
        (("wide.png", png(500, 500)), "wide.png has 250,000 pixels, more than this model's limit of 100,000"),
    ):
        while await page.get_by_role("button", name="Remove").count():
            await page.get_by_role("button", name="Remove").first.click()
        await drop(page, (file[0], "image/png", file[1]))
        await expect(complaint).to_have_text(re.compile(words))
        assert not await page.evaluate("document.querySelector('#try').checkValidity()"), "it is not sent"
    await page.get_by_role("button", name="Remove").click()
    await expect(complaint).to_be_hidden()
    assert await page.evaluate("window.ran") is None
    await page.goto(str(await page.locator("#row-1 td a").first.get_attribute("href")))
    await holds(page, "document.images[0]?.naturalWidth === 320")


async def test_without_javascript_a_file_is_sent(site: Site, browser: Browser, queue: JobQueue) -> None:
    context = await browser.new_context(base_url=site.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto("/try?model=photos")
    await page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": png()})
    await page.locator("#submit").click()
    await expect(page.locator("h1")).to_contain_text("Job queued")
    await answered(queue, "photos", [{"label": "fine", "score": 0.75}])
    # it reloads by itself, after two seconds
    await expect(page.locator("#row-1 .label")).to_have_text("fine")
    await expect(page.locator("#row-1 td img")).to_have_js_property("naturalWidth", 320)
    await chromium.within_twenty_seconds(context.close())


class TestSounds:
    """In a browser whose microphone is a tone, which every page may use."""

    @pytest_asyncio.fixture(loop_scope="session")
    async def browser(self) -> AsyncIterator[Browser]:
        if chromium.found() is None:
            pytest.skip(chromium.MISSING)
        flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        async with chromium.launched(flags) as launched:
            yield launched

    async def test_a_sound_is_recorded_and_its_words_lie_along_its_waveform(
        self, site: Site, view: Watched, queue: JobQueue
    ) -> None:
        page = view.page
        await page.goto("/try?model=sounds")
        await page.get_by_role("button", name="Record").click()
        stop = page.get_by_role("button", name=re.compile(r"Stop \(([1-9]\d*\.\d) s\)"))
        await stop.click()
        await holds(page, "document.querySelector('[data-previews] audio')?.duration >= 1")
        await page.get_by_role("button", name="Submit").click()
        await expect(page.locator("#row-1 .input")).to_have_text(re.compile("WAV audio, .+ kB"))
        chunks = [
            {"timestamp": [0.5, 0.75], "text": " Hello"},
            {"timestamp": [0.75, None], "text": f" {HOSTILE}"},
        ]
        await answered(queue, "sounds", {"text": "Hello", "chunks": chunks})
        word = page.locator(".word").first
        await expect(word).to_have_text("Hello")
        length = await page.evaluate("document.querySelector('[data-previews] audio').duration")
        share = await word.evaluate("(word) => word.offsetLeft / word.parentElement.offsetWidth")
        assert share == pytest.approx(0.5 / length, abs=0.02)
        await page.get_by_role("button", name="Hello").focus()
        await page.keyboard.press("Enter")
        await holds(page, "document.querySelector('#row-1 .heard audio').currentTime >= 0.5")
        assert await page.evaluate("window.ran") is None
        await page.goto(str(await page.locator("#row-1 audio").first.get_attribute("src")))
        await holds(page, "document.querySelector('video')?.readyState >= 1")
