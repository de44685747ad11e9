"""Links to media in requests: fetched where the operator allows it, within limits, and never from inside."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis
from pydantic import ValidationError

from api.links import AT_ONCE, MAX_LINKS
from jobs.outbound.addresses import Addresses
from jobs.outbound.transport import OutboundTransport
from jobs.problem_kinds import TYPE
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.conftest import written
from tests.jobs.media.samples import image, sound
from tests.ledger import JobQueue
from tests.web import Answer, Web, ok, serving

PNG, JPEG = image("PNG"), image("JPEG")
CLOSED = "inputs: the link cannot be fetched: its host cannot be reached, or is not a public one"

MODELS = """
[models.pictures]
pipeline = "somewhere:Pictures"
input = "image"
max_input_bytes = 5_000

[models.texts]
pipeline = "somewhere:Texts"
"""


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    """The operator allows every host, and of closed networks this machine's address."""
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(
        redis_url=redis_url,
        data_dir=tmp_path,
        models_file=models,
        fetch_links="*",
        outbound_networks="127.0.0.1",
    )


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with serving() as running:
        running.answers |= {"/a.png": ok(PNG), "/b.jpg": ok(JPEG)}
        yield running


async def submit(client: httpx.AsyncClient, inputs: Any, status: int = 422, **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/jobs", json={"inputs": inputs, **more})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    assert status == 202 or found["type"] == f"{TYPE}invalid-request"
    return found


async def test_linked_media_are_inputs_like_others(
    client: httpx.AsyncClient, web: Web, redis: ArqRedis, settings: Settings
) -> None:
    queue = JobQueue(redis, settings, ["pictures"])
    links = [web.url("/a.png"), f"data:;base64,{_base64(JPEG)}", web.url("/b.jpg"), web.url("/a.png")]
    job = await submit(client, links, 202)
    assert (await queue.inputs_of(job["id"])).inputs == [PNG, JPEG, JPEG, PNG]
    assert sorted(line.split()[1] for line in web.requests) == ["/a.png", "/b.jpg"], "each once"
    assert web.headers["accept-encoding"] == "identity"
    form = await client.post("/v1/jobs", files={"inputs": (None, web.url("/a.png"))})
    assert form.status_code == 202
    assert (await queue.inputs_of(form.json()["id"])).inputs == [PNG]


async def test_links_are_off_by_default(settings: Settings, web: Web) -> None:
    off = Settings(redis_url=settings.redis_url, models_file=settings.models_file)
    async with mounted(off) as (client, _):
        problem = await submit(client, [f"data:;base64,{_base64(PNG)}", web.url("/a.png")])
        assert problem["detail"].startswith("inputs: this server fetches no links (BATCHLINE_FETCH_LINKS);")
        assert problem["pointer"] == "/inputs/1"
        await submit(client, web.url("/a.png"), 202, model="texts")
    assert web.requests == []


BAD_URLS = {
    "a password": ("http://user:secret@{at}/a.png", "must not contain a user name or a password"),
    "a user": ("http://user@{at}/a.png", "must not contain a user name or a password"),
    "no host": ("http:///a.png", "must begin with http:// or https:// and a host"),
    "a wrong port": ("http://127.0.0.1:99999/", "port is not between 1 and 65535"),
    "no host name": ("http://exa mple/", "not a valid URL|cannot be reached"),
    "no Unicode": ("http://xn--/a.png", "not a valid URL"),
    "too long": ("http://{at}/" + "a" * 9_000, "more than 8000 characters"),
}


@pytest.mark.parametrize("name", BAD_URLS)
async def test_bad_links(client: httpx.AsyncClient, web: Web, redis: ArqRedis, name: str) -> None:
    url, detail = BAD_URLS[name]
    problem = await submit(client, [url.format(at=f"127.0.0.1:{web.port}")])
    assert any(part in problem["detail"] for part in detail.split("|"))
    assert problem["pointer"] == "/inputs/0"
    assert "secret" not in json.dumps(problem)
    assert web.requests == []
    assert await written(redis) == set()


async def test_only_hosts_that_the_operator_names(settings: Settings, web: Web) -> None:
    named = settings.model_copy(update={"fetch_links": "Pictures.example, *.example.net,127.0.0.1"})
    transport, asked = _resolving(["127.0.0.1"])
    async with mounted(named) as (client, services):
        services.links._transport = transport
        for host in ("pictures.example", "PICTURES.example.", "a.b.example.net", "127.0.0.1"):
            await submit(client, web.url("/a.png", host), 202)
        names = list(asked)
        for host in ("example.net", "badexample.net", "pictures.example.evil.org", "127.0.0.2", "[::1]"):
            problem = await submit(client, web.url("/a.png", host))
            assert "does not fetch links to this host (BATCHLINE_FETCH_LINKS)" in problem["detail"]
        assert asked == names, "no name of another host is looked up"


async def test_what_cannot_be_reached_looks_alike(client: httpx.AsyncClient, web: Web) -> None:
    """Closed addresses, in any notation, names that do not exist, and ports where nothing listens."""
    hosts = ["127.0.0.2", "localhost.invalid", "10.0.0.1", "[::1]", "169.254.169.254", "0.0.0.0", "0x7f.2"]
    hosts += ["2130706434", "[::ffff:127.0.0.2]", "[64:ff9b::7f00:2]"]
    for url in (*(web.url("/a.png", host) for host in hosts), "http://127.0.0.1:1/"):
        assert (await submit(client, url))["detail"] == CLOSED, url
    assert web.requests == []


async def test_a_name_that_changes_its_address(settings: Settings, web: Web) -> None:
    transport, asked = _resolving(["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["127.0.0.1"])
    async with mounted(settings) as (client, services):
        services.links._transport = transport
        await submit(client, web.url("/a.png", "rebinding.example"), 202)
        for _ in range(2):
            problem = await submit(client, web.url("/a.png", "rebinding.example"))
            assert problem["detail"] == CLOSED
    assert len(asked) == 3, "each request looks once"
    assert len(web.requests) == 1


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


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_answers(client: httpx.AsyncClient, web: Web, redis: ArqRedis, name: str) -> None:
    web.answers["/x"], detail = WRONG[name]
    problem = await submit(client, [web.url("/a.png"), web.url("/x")])
    assert detail in problem["detail"]
    assert problem["pointer"] == "/inputs/1"
    assert str(web.port) not in problem["detail"]
    assert await written(redis) == set()


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

    web.answers |= {"/slow": trickle, "/silent": lambda _: asyncio.sleep(30)}
    async with mounted(settings.model_copy(update={"fetch_timeout": 0.3})) as (client, _):
        for path in ("/slow", "/silent"):
            problem = await submit(client, [web.url("/a.png"), web.url(path)])
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


async def test_the_server_keeps_no_cookies_and_uses_no_proxy(
    client: httpx.AsyncClient, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    web.answers["/a.png"] = ok(PNG, "set-cookie: a=b")
    for _ in range(2):
        await submit(client, web.url("/a.png"), 202)
    assert "cookie" not in web.headers


@pytest.mark.parametrize("given", ["on", "true", "http://cdn.example.org", "cdn.example.org/a", "*.*", "a b"])
def test_hosts_that_are_none(given: str) -> None:
    with pytest.raises(ValidationError, match="give names of hosts such as"):
        Settings(fetch_links=given)


def test_hosts_and_networks() -> None:
    assert Settings().linked_hosts == Settings(fetch_links="").linked_hosts == frozenset()
    assert Settings(fetch_links=" A.example,*.B.example ,").linked_hosts == {"a.example", "*.b.example"}
    with pytest.raises(ValidationError, match="give addresses and networks"):
        Settings(outbound_networks="10.0.0.0/99")
    assert Settings(outbound_networks=" ").outbound_networks is None


def _resolving(*answers: Sequence[str]) -> tuple[OutboundTransport, list[str]]:
    """A transport whose name server answers differently each time, and the names it was asked for."""
    asked: list[str] = []

    async def lookup(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return answers[min(len(asked), len(answers)) - 1]

    return OutboundTransport(Addresses("127.0.0.1"), max_connections=4, lookup=lookup), asked


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
