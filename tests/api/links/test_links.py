"""Links to media in requests: fetched where the operator allows it, within limits, and never from inside."""

import base64
import json
from collections.abc import Sequence

import httpx
import pytest
from arq.connections import ArqRedis
from pydantic import ValidationError

from jobs.outbound.addresses import Addresses
from jobs.outbound.transport import OutboundTransport
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.links.sending import JPEG, PNG, submit
from tests.conftest import written
from tests.ledger import JobQueue
from tests.web import Web, ok

CLOSED = "inputs: the link cannot be fetched: its host cannot be reached, or is not a public one"


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
        assert problem["detail"].startswith("inputs/1: this server fetches no links (BATCHLINE_FETCH_LINKS);")
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
