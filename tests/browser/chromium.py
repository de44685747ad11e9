"""The browser of these tests: Debian's chromium, driven by Playwright; it wants nothing of the network."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "there is no chromium on this machine: install it (on Debian and Ubuntu: apt install chromium),"
    " or name one in the environment variable CHROMIUM"
)
FLAGS = [
    "--no-sandbox",  # it shows our own pages only, and root may not have one
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


def found() -> str | None:
    """The path of the browser, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def launched(flags: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """A browser of its own, with further flags; raises RuntimeError where there is none."""
    path = found()
    if path is None:
        raise RuntimeError(MISSING)
    before = psutil.Process().children()
    async with async_playwright() as playwright:
        drivers = [child for child in psutil.Process().children() if child not in before]
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await within_twenty_seconds(browser.close())
            _kill_browsers(drivers)


def _kill_browsers(drivers: Sequence[psutil.Process]) -> None:
    """Kills what is left: a driver would wait half a minute for a Chromium that does not answer."""
    for driver in drivers:
        with suppress(psutil.NoSuchProcess):
            for process in driver.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()


async def within_twenty_seconds(closing: Coroutine[Any, Any, None]) -> None:
    """Waits for a context or a browser to close; a Chromium that does not answer must not hang the tests.

    A context and its browser may both have to wait, within the time of one test.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(closing, 20)
