"""What linked hosts may answer, and for how long: each request and each sender has limits."""

import asyncio
import base64

import httpx
import pytest
from arq.connections import ArqRedis

from api.links import AT_ONCE, MAX_LINKS, SENDER_AT_ONCE
from jobs.settings import Settings
from tests.api.api_process import mounted, serving
from tests.api.links.sending import PNG, submit
from tests.conftest import written
from tests.jobs.media.samples import sound
from tests.waiting import until
from tests.web import Answer, Web, ok


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(PNG + bytes(64 * 1024))
        await writer.drain()


async def _headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: " + b"y" * 64_000 + b"\r\n")
        await writer.drain()


async def _pieces(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n" * 1_000)
        await writer.drain()


async def _continue(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)
        await writer.drain()


async def _hints(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3 + ok(PNG))


WRONG: dict[str, tuple[bytes | Answer, str]] = {
    "a redirect": (
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
        "it leads to another link",
    ),
    "not found": (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "its host answers 404"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "its host answers 204"),
    "a part": (b"HTTP/1.1 206 Partial\r\ncontent-length: 0\r\n\r\n", "its host answers 206"),
    "compressed": (ok(PNG, "content-encoding: gzip"), "compresses the answer"),
    "an announced length": (ok(PNG, length=5_001), "this model's limit of 5,000; raise max_input_bytes"),
    "too many bytes": (_endless, "this model's limit of 5,000; raise max_input_bytes"),
    "an endless chunk": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n" + bytes(9_000),
        "limit of 5,000",
    ),
    "an early end": (ok(PNG, length=len(PNG) + 1), "does not answer as HTTP, or ended the answer early"),
    "huge headers": (_headers, "does not answer as HTTP"),
    "single bytes": (_pieces, "too many small pieces"),
    "endless other responses": (_continue, "does not answer as HTTP"),
    "two lengths": (ok(PNG, "content-length: 7"), "does not answer as HTTP"),
    "no HTTP": (b"220 mail.example ESMTP\r\n", "does not answer as HTTP"),
    "nothing": (b"", "does not answer as HTTP"),
    "no medium": (ok(b"<html>"), "not image data in a supported format: its first bytes are of none"),
    "another medium": (ok(sound("OGG with Vorbis")[:4_000]), "this is OGG (audio)"),
    "an empty one": (ok(b""), "the image is empty"),
}


REASONS = {
    **dict.fromkeys(("a redirect", "not found", "no content", "a part"), "status"),
    **dict.fromkeys(("an announced length", "too many bytes", "an endless chunk"), "too_large"),
    **dict.fromkeys(("no medium", "another medium", "an empty one"), ""),
}
"""The reason in the metrics; "" if the link was fetched. Of all others it is `protocol`."""


async def eventually(state: bool) -> bool:
    """For `until`."""
    return state


async def counted(client: httpx.AsyncClient, name: str) -> float:
    """The metric of that name and labels; 0 if it is not in the exposition."""
    lines = (await client.get("/metrics")).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0)


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_answers(client: httpx.AsyncClient, web: Web, redis: ArqRedis, name: str) -> None:
    web.answers["/x"], detail = WRONG[name]
    problem = await submit(client, [web.url("/a.png"), web.url("/x")])
    assert detail in problem["detail"]
    assert problem["pointer"] == "/inputs/1"
    assert str(web.port) not in problem["detail"]
    assert await written(redis) == set()
    reason = REASONS.get(name, "protocol")
    failed = f'batchline_links_failed_total{{reason="{reason or "protocol"}"}}'
    assert await counted(client, failed) == bool(reason)
    if not reason:
        assert await counted(client, "batchline_links_fetched_total") == 2
        assert await counted(client, "batchline_link_bytes_total") >= len(PNG)


async def test_a_client_that_disconnects_ends_the_fetching(
    settings: Settings, web: Web, redis: ArqRedis
) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"", length=4_000))
        while True:  # until the connection is closed
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    web.answers["/endless"] = endless
    async with serving(settings.model_copy(update={"fetch_timeout": 600.0})) as (client, services):
        asking = asyncio.create_task(submit(client, web.url("/endless")))
        await until(lambda: eventually(web.open == 1))
        asking.cancel()
        await until(lambda: eventually(web.open == 0))

        async def noted() -> bool:
            failed = await counted(client, 'batchline_links_failed_total{reason="hung_up"}')
            return failed == 1 and services.budget.held == 0

        await until(noted)
        await services.store.events.flushdb()


async def test_a_few_other_responses_come_before_an_answer(client: httpx.AsyncClient, web: Web) -> None:
    web.answers["/hints"] = _hints
    await submit(client, web.url("/hints"), 202)


async def test_slow_answers(settings: Settings, web: Web) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"", length=4_000))
        while True:  # so that no time between two parts is long
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    sent = f"data:;base64,{base64.b64encode(PNG).decode()}"  # no link, so that only the other one is late
    web.answers |= {"/slow": trickle, "/silent": lambda _: asyncio.sleep(30)}
    async with mounted(settings.model_copy(update={"fetch_timeout": 0.3})) as (client, _):
        for path in ("/slow", "/silent"):
            problem = await submit(client, [sent, web.url(path)])
            assert "not received within 0.3 s (BATCHLINE_FETCH_TIMEOUT)" in problem["detail"]
            assert problem["pointer"] == "/inputs/1"


async def test_links_of_a_request_are_limited_together(settings: Settings, web: Web) -> None:
    async with mounted(settings.model_copy(update={"max_request_bytes": 4_000})) as (client, services):
        many = [web.url(f"/{number}") for number in range(MAX_LINKS + 1)]
        assert f"may have {MAX_LINKS} links, not {MAX_LINKS + 1}" in (await submit(client, many))["detail"]
        assert web.requests == []
        web.answers |= {f"/{number}": ok(PNG + bytes(1_000)) for number in range(8)}
        problem = await submit(client, many[:8])
        assert "may have 4,000 bytes (BATCHLINE_MAX_REQUEST_BYTES)" in problem["detail"]
        assert services.budget.held == 0


async def test_several_links_are_fetched_at_once(client: httpx.AsyncClient, web: Web) -> None:
    gathered = asyncio.Event()

    async def together(writer: asyncio.StreamWriter) -> None:
        if web.open == AT_ONCE:
            gathered.set()
        await gathered.wait()
        writer.write(ok(PNG))

    web.answers |= {f"/{number}": together for number in range(10)}
    await submit(client, [web.url(f"/{number}") for number in range(10)], 202)
    assert web.most_open == AT_ONCE


async def test_links_of_one_sender_do_not_hold_up_those_of_others(
    client: httpx.AsyncClient, web: Web
) -> None:
    """Hosts that do not answer take a part of the process's fetches, however many links one sender has."""
    answering = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        await answering.wait()
        writer.write(ok(PNG))

    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    away = httpx.ASGITransport(transport.app, client=("192.0.2.1", 1))
    web.answers |= {f"/{number}": silent for number in range(40)}
    links = [web.url(f"/{number}") for number in range(40)]
    async with httpx.AsyncClient(transport=away, base_url="http://edge", timeout=30) as other:
        many = [
            asyncio.create_task(submit(client, links[first : first + 4], 202)) for first in range(0, 40, 4)
        ]

        async def busy() -> bool:
            return web.open >= SENDER_AT_ONCE

        await until(busy)
        await submit(other, web.url("/a.png"), 202)
        assert web.most_open == SENDER_AT_ONCE + 1
        answering.set()
        await asyncio.gather(*many)
