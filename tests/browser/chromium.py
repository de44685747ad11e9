"""The browser of these tests: Debian's chromium, driven by Playwright; it wants nothing of the network."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

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
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await within_twenty_seconds(browser.close())


async def within_twenty_seconds(closing: Coroutine[Any, Any, None]) -> None:
    """Waits for a context or a browser to close; a Chromium that does not answer must not hang the tests.

    Playwright's driver ends its browsers when it stops. A context and its browser may both have to wait,
    within the time of one test.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(closing, 20)
