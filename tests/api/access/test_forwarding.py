"""Forwarded headers: believed from trusted proxies only. Such a proxy may name the owner of a request."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from api.access.forwarding import Proxies, client_address, from_trusted_proxy
from jobs.settings import Settings
from tests.api.access.keyed import ADMIN, bearer, keyed, with_keys
from tests.api.api_process import mounted, serving

PROXY = "10.0.0.1"


def applied(peer: str | None, *headers: tuple[str, str], networks: str = "10.0.0.0/8,fd00::1") -> Any:
    scope = {
        "client": None if peer is None else (peer, 5000),
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    Proxies(networks).apply(scope)
    return scope


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", ["1.1.1.1"], "192.0.2.9"),
        (PROXY, [], PROXY),
        (PROXY, ["1.1.1.1"], "1.1.1.1"),
        (PROXY, ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (PROXY, ["6.6.6.6, 1.1.1.1, 10.9.9.9"], "1.1.1.1"),
        (PROXY, ["6.6.6.6", "1.1.1.1,10.9.9.9"], "1.1.1.1"),
        (PROXY, ["10.1.1.1, 10.9.9.9"], "10.1.1.1"),
        (PROXY, ["1.1.1.1:4711"], "1.1.1.1"),
        (PROXY, ["[2001:db8::1]:4711"], "2001:db8::1"),
        (PROXY, ["2001:DB8::1"], "2001:db8::1"),
        (PROXY, ["1.1.1.1, unknown, 10.9.9.9"], "10.9.9.9"),
        (PROXY, ["<script>"], PROXY),
        ("fd00::1", ["1.1.1.1"], "1.1.1.1"),
        ("::ffff:10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("fd00::2", ["1.1.1.1"], "fd00::2"),
        ("", ["1.1.1.1"], "unix"),
        (None, ["1.1.1.1"], "unix"),
    ],
)
def test_the_clients_address(peer: str | None, forwarded: list[str], client: str) -> None:
    """The right-most address that is no trusted proxy: what stands before it anybody may have sent."""
    assert client_address(applied(peer, *[("x-forwarded-for", each) for each in forwarded])) == client


def test_the_scheme_is_believed_from_a_trusted_proxy() -> None:
    headers = ("x-forwarded-proto", "https")
    assert applied(PROXY, headers)["scheme"] == "https"
    assert applied("192.0.2.9", headers)["scheme"] == "http"
    assert applied(PROXY, ("x-forwarded-proto", "javascript"))["scheme"] == "http"
    assert from_trusted_proxy(applied(PROXY))
    assert not from_trusted_proxy(applied("192.0.2.9"))


async def test_refused_attempts_are_counted_for_the_forwarded_address(settings: Settings) -> None:
    async with keyed(settings, max_failed_attempts=1, trusted_proxies="127.0.0.1") as edge:
        with capture_logs() as logs:
            for address in ("192.0.2.1", "192.0.2.2"):
                headers = {"x-api-key": "bl_x", "x-forwarded-for": address}
                assert (await edge.client.get("/v1/jobs", headers=headers)).status_code == 401
        assert [line["address"] for line in logs] == ["192.0.2.1", "192.0.2.2"]


async def test_a_process_on_this_machine_is_no_trusted_proxy(settings: Settings) -> None:
    """uvicorn would believe it."""
    async with serving(with_keys(settings)) as (client, _):
        with capture_logs() as logs:
            await client.get("/v1/jobs", headers={"x-forwarded-for": "192.0.2.1"})
        page = await client.get("/docs", headers=bearer(ADMIN) | {"x-forwarded-proto": "https"})
    assert [line["address"] for line in logs] == ["127.0.0.1"]
    assert "https://127.0.0.1" not in page.text


NAMED = {"auth": "off", "owner_header": "X-Forwarded-User", "trusted_proxies": "127.0.0.1"}


def named(settings: Settings, **changed: Any) -> Settings:
    return settings.model_copy(update={**NAMED, "admin_key": SecretStr(ADMIN), **changed})


async def answered(
    settings: Settings, *headers: tuple[str, str], path: str = "/v1/jobs", **changed: Any
) -> tuple[httpx.Response, str]:
    """The answer, and the owner of the request as a job would have it."""
    owners = []
    async with mounted(named(settings, **changed)) as (client, services):
        resolve = services.access.resolver.resolve

        async def noting(scope: Any) -> Any:
            found = await resolve(scope)
            owners.append(found.owner)
            return found

        services.access.resolver.resolve = noting  # type: ignore[method-assign]
        answer = await client.get(path, headers=list(headers))
    return answer, (owners or ["refused"])[0]


async def test_a_trusted_proxy_names_the_owner(settings: Settings) -> None:
    user = ("x-forwarded-user", "alice@example.org")
    assert (await answered(settings, user))[1] == "alice@example.org"
    assert (await answered(settings, user, trusted_proxies="192.0.2.1"))[1] == "", "it came from elsewhere"
    assert (await answered(settings))[1] == ""
    assert (await answered(settings, user, user))[1] == "alice@example.org"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "{x}", "x" * 65, "-a"])
async def test_a_name_that_breaks_the_rule_is_refused(settings: Settings, name: str) -> None:
    answer, owner = await answered(settings, ("x-forwarded-user", name))
    assert (answer.status_code, owner) == (400, "refused")


@pytest.mark.parametrize("name", [b"alice\xa0", b"\x85alice", b"alice\xc2\xa0"])
async def test_a_name_is_not_made_another_one(settings: Settings, name: bytes) -> None:
    """Only the space that belongs to no header's value is removed (RFC 9110, section 5.5)."""
    headers = [(b"x-forwarded-user", name)]
    settings = settings.model_copy(
        update={"owner_header": "X-Forwarded-User", "trusted_proxies": "127.0.0.1"}
    )
    async with mounted(settings) as (client, _):
        assert (await client.get("/v1/jobs", headers=headers)).status_code == 400


def test_only_the_last_hops_are_read() -> None:
    forwarded = ", ".join(["10.1.1.1", *["10.2.2.2"] * 3000])
    assert client_address(applied(PROXY, ("x-forwarded-for", forwarded))) == "10.2.2.2"


async def test_two_names_are_refused(settings: Settings) -> None:
    answer, _ = await answered(settings, ("x-forwarded-user", "a"), ("x-forwarded-user", "b"))
    assert answer.status_code == 400


async def test_named_owners_are_no_admins(settings: Settings) -> None:
    """Nor is a client that gets around the proxy. The admin key of the environment is."""
    user = ("x-forwarded-user", "alice")
    for headers in ([user], []):
        answer, _ = await answered(settings, *headers, path="/metrics")
        assert answer.status_code == 403
    answer, owner = await answered(settings, user, *bearer(ADMIN).items(), path="/metrics")
    assert (answer.status_code, owner) == (200, "admin")
    wrong, _ = await answered(settings, user, ("x-api-key", "bl_wrong"))
    assert wrong.status_code == 401
    basic, owner = await answered(settings, user, ("authorization", "Basic abc"))
    assert (basic.status_code, owner) == (200, "alice"), "credentials for the proxy"
