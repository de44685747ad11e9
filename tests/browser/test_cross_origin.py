"""A page of another origin that calls the API, in a real browser: it works where the origin is allowed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest_asyncio
from playwright.async_api import Browser

from tests import processes
from tests.ports import free_port
from tests.waiting import until

PAGE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\na page"

SUBMIT = """async (url) => {
    const plain = new Blob([JSON.stringify({inputs: "x"})]).stream();
    const body = plain.pipeThrough(new CompressionStream("gzip"));
    const answer = await fetch(url + "/v1/jobs", {
        method: "POST",
        headers: {
            "content-type": "application/json", "content-encoding": "gzip", "idempotency-key": "k",
            "prefer": "wait=0", "authorization": "Bearer none",
        },
        body: await new Response(body).arrayBuffer(),
    });
    return {status: answer.status, location: answer.headers.get("location")};
}"""
REFUSED = """async (url) => {
    const answer = await fetch(url + "/v1/jobs?state=nix");
    return (await answer.json()).message;
}"""
FOLLOW = """(url) => new Promise((resolve) => {
    const events = new EventSource(url);
    events.addEventListener("queued", (event) => { events.close(); resolve(JSON.parse(event.data).status); });
    events.onerror = () => { events.close(); resolve("error"); };
})"""
TRY = """async (url) => {
    try { return (await fetch(url + "/v1/models")).status; } catch (error) { return error.name; }
}"""


class Sites(NamedTuple):
    """URLs: of the API, of a site whose pages may call it, and of one whose pages may not."""

    api: str
    allowed: str
    other: str


@asynccontextmanager
async def site() -> AsyncIterator[str]:
    """The origin of a server that has one page."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest_asyncio.fixture(loop_scope="session")
async def sites(redis_url: str, tmp_path: Path) -> AsyncIterator[Sites]:
    port, models = free_port(), processes.write_models(tmp_path)
    url = f"http://127.0.0.1:{port}"
    async with site() as allowed, site() as other:
        own = {"redis_url": redis_url, "port": port, "models_file": models, "cors_origins": allowed}
        with processes.running("api", **own):
            await until(partial(processes.alive, url))
            yield Sites(url, allowed, other)


async def test_a_page_of_an_allowed_origin_uses_the_api(browser: Browser, sites: Sites) -> None:
    page = await browser.new_page()
    await page.goto(sites.allowed)
    submitted = await page.evaluate(SUBMIT, sites.api)
    assert submitted["status"] == 202
    assert submitted["location"].startswith("/v1/jobs/"), "the page may read it"
    assert (await page.evaluate(REFUSED, sites.api)).startswith("query parameter 'state': give queued")
    assert await page.evaluate(FOLLOW, f"{sites.api}{submitted['location']}/events") == "queued"


async def test_a_page_of_another_origin_does_not(browser: Browser, sites: Sites) -> None:
    page = await browser.new_page()
    await page.goto(sites.other)
    assert await page.evaluate(TRY, sites.api) == "TypeError"
    await page.goto(sites.allowed)
    assert await page.evaluate(TRY, sites.api) == 200
