"""Host names: by default no public one, for a page under such a name would read this server as its own."""

import socket

import pytest

from api.edge.hosts import MAX_CACHED, Hosts
from jobs.settings import Settings
from tests.api.api_process import mounted


def served(header: bytes | None, **settings: str) -> bool:
    headers = [(b"accept", b"*/*")] + ([] if header is None else [(b"host", header)])
    return Hosts(Settings(**settings)).serve({"type": "http", "headers": headers})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        None,
        b"127.0.0.1:8000",
        b"10.1.2.3",
        b"[::1]:8000",
        b"[fe80::1]",
        b"localhost",
        b"LOCALHOST:8000",
        b"localhost.",
        b"app.localhost:8000",
        b"api:8000",
        b"batchline-api.prod.svc",
        b"nas.local",
        b"queue.internal",
        socket.gethostname().encode(),
    ],
)
def test_what_no_public_dns_resolves_is_served(host: bytes | None) -> None:
    assert served(host)
    assert served(host, host="0.0.0.0")  # as in a container, whose health is asked by address


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"127.0.0.1.evil.example",
        b"localhost.evil.example",
        b"internal.evil.example",
        b"evil.example:8000",
        b"evil.example.",
        b"a@evil.example",
        b"1.2.3",
        b"\xff",
        b"[",
        b":8000",
    ],
)
def test_a_public_name_is_not(host: bytes) -> None:
    assert not served(host)
    assert not served(host, host="0.0.0.0")


def test_names_are_allowed_by_the_operator() -> None:
    assert served(b"api.example.org:443", allowed_hosts="auto, api.example.org")
    assert served(b"127.0.0.1", allowed_hosts="auto, api.example.org")
    assert not served(b"127.0.0.1", allowed_hosts="api.example.org"), "only what is named, then"
    assert served(b"a.b.example.org", allowed_hosts="*.example.org")
    assert not served(b"notexample.org", allowed_hosts="*.example.org")
    assert served(b"listened.example.org", host="listened.example.org")
    assert served(b"evil.example", allowed_hosts="*")


def test_what_is_remembered_of_hosts_is_bounded() -> None:
    hosts = Hosts(Settings())
    for i in range(2 * MAX_CACHED):
        assert not hosts.serve({"type": "http", "headers": [(b"host", b"h%d.example" % i)]})
    assert len(hosts._verdicts) == MAX_CACHED


@pytest.mark.parametrize("path", ["/", "/v1/jobs", "/v1/jobs/x", "/metrics", "/static/style.css"])
async def test_no_way_leads_past_it(settings: Settings, path: str) -> None:
    """The express lane neither."""
    async with mounted(settings) as (client, _):
        answer = await client.get(path, headers={"host": "evil.example"})
        assert (answer.status_code, answer.json()["type"]) == (421, "urn:batchline:problem:unknown-host")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "BATCHLINE_ALLOWED_HOSTS" in answer.json()["detail"]
        posted = await client.post("/v1/jobs", json={"inputs": "x"}, headers={"host": "evil.example"})
        assert posted.status_code == 421


async def test_probes_are_answered_by_any_name(settings: Settings) -> None:
    """They ask by address, whatever names an operator allows."""
    named = settings.model_copy(update={"allowed_hosts": "api.example.org"})
    async with mounted(named) as (client, _):
        assert (await client.get("/health/live", headers={"host": "10.0.0.1:8000"})).status_code == 200
        assert (await client.get("/v1/models", headers={"host": "10.0.0.1:8000"})).status_code == 421
