"""The transport connects to the addresses that it checked, and to no others."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.outbound.addresses import Addresses
from jobs.outbound.transport import LOOKUPS_OF_SENDER, Lookup, OutboundTransport, Unreachable
from tests import certificates
from tests.certificates import needs_openssl
from tests.waiting import until
from tests.web import Web, serving


def names(*answers: Sequence[str]) -> tuple[Lookup, list[str]]:
    """A name server that answers differently each time, and the names it was asked for."""
    asked: list[str] = []

    async def lookup(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return answers[min(len(asked), len(answers)) - 1]

    return lookup, asked


async def get(url: str, lookup: Lookup | None = None, networks: str = "127.0.0.1") -> httpx.Response:
    transport = OutboundTransport(Addresses(networks), max_connections=4, lookup=lookup)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        return await client.get(url)


async def test_a_name_stays_the_host(web: Web) -> None:
    lookup, asked = names(["127.0.0.1"])
    answer = await get(f"http://pictures.example:{web.port}/a?b=c#d", lookup)
    assert (answer.status_code, answer.content) == (200, b"hello")
    assert asked == ["pictures.example"]
    assert web.requests == [f"GET /a?b=c HTTP/1.1, host: pictures.example:{web.port}"]


async def test_a_name_is_looked_up_once(web: Web) -> None:
    """DNS rebinding: the second answer would be another address."""
    lookup, asked = names(["127.0.0.1"], ["10.9.8.7"])
    assert (await get(f"http://rebinding.example:{web.port}/", lookup)).status_code == 200
    assert len(asked) == 1
    lookup, asked = names(["10.9.8.7"], ["127.0.0.1"])
    with pytest.raises(Unreachable):
        await get(f"http://rebinding.example:{web.port}/", lookup)
    assert len(web.requests) == 1


async def test_a_name_whose_server_hangs_is_looked_up_once_for_all(web: Web) -> None:
    """Each look-up takes a thread, of which there are few."""
    asked: list[str] = []
    answers = asyncio.Event()

    async def lookup(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        await answers.wait()
        return ["127.0.0.1"]

    transport = OutboundTransport(Addresses("127.0.0.1"), max_connections=4, lookup=lookup)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        url = f"http://hangs.example:{web.port}/"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get(url)
        several = [asyncio.create_task(client.get(url)) for _ in range(3)]
        await asyncio.sleep(0)
        answers.set()
        assert [each.status_code for each in await asyncio.gather(*several)] == [200] * 3
        assert asked == ["hangs.example"]
        assert (await client.get(url)).status_code == 200
    assert len(asked) == 2, "the next request asks again"


async def test_names_that_hang_delay_no_other_sender(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that looks a name up cannot be interrupted, and anybody may have any number of names."""
    asked: list[str] = []
    answers = threading.Event()
    look_up = socket.getaddrinfo

    def hanging(name: str, *given: Any, **options: Any) -> Any:
        if name.endswith(".example"):
            asked.append(name)
            answers.wait(600)
            name = "127.0.0.1"
        return look_up(name, *given, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    transport = OutboundTransport(Addresses("127.0.0.1"), max_connections=4)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:

        def get(host: str, sender: str) -> "asyncio.Task[httpx.Response]":
            return asyncio.create_task(
                client.get(f"http://{host}:{web.port}/", extensions={"sender": sender})
            )

        try:
            hang = [get(f"h{number}.example", "mallory") for number in range(100)]

            async def begun() -> bool:
                return len(asked) >= 8

            await until(begun)
            async with asyncio.timeout(25):
                assert (await get("127.0.0.1", "alice")).status_code == 200
            several, rest = hang[:LOOKUPS_OF_SENDER], hang[LOOKUPS_OF_SENDER:]
            for each in rest:
                each.cancel()
            await asyncio.wait(rest)
        finally:
            answers.set()
        assert [each.status_code for each in await asyncio.gather(*several)] == [200] * len(several)
    assert len(asked) == LOOKUPS_OF_SENDER, "nothing is asked for requests that were given up"


async def test_of_several_addresses_the_allowed_ones_are_tried(web: Web) -> None:
    lookup, _ = names(["10.9.8.7", "::1", "127.0.0.3", "127.0.0.1"])
    answer = await get(f"http://many.example:{web.port}/", lookup, "127.0.0.1,127.0.0.3")
    assert answer.status_code == 200, "nothing listens on 127.0.0.3"


CLOSED = ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0.0.0.0", "[::]"]
CLOSED += ["[::ffff:127.0.0.1]", "no-such-name.invalid", "a..b", "x" * 70 + ".example", "127。0。0。1"]


@pytest.mark.parametrize("host", CLOSED)
async def test_closed_addresses_are_not_reached_in_any_notation(web: Web, host: str) -> None:
    with pytest.raises((Unreachable, httpx.InvalidURL)) as caught:
        await get(f"http://{host}:{web.port}/", networks="")
    assert web.requests == []
    if isinstance(caught.value, Unreachable):
        assert str(caught.value) == "the host cannot be reached"


async def test_other_protocols_and_ports_are_refused() -> None:
    with pytest.raises(Unreachable):
        await get("http://127.0.0.1:99999/")
    with pytest.raises(httpx.UnsupportedProtocol):
        await get("ftp://127.0.0.1/")


@needs_openssl
async def test_certificates_are_verified_against_the_name(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    lookup, _ = names(["127.0.0.1"])
    transport = OutboundTransport(
        Addresses("127.0.0.1"), max_connections=4, lookup=lookup, context=made.trusted()
    )
    async with serving(context) as web, httpx.AsyncClient(transport=transport, trust_env=False) as client:
        for host in ("pictures.example", "127.0.0.1"):
            assert (await client.get(f"https://{host}:{web.port}/")).content == b"hello"
        with pytest.raises(Unreachable):
            await client.get(f"https://other.example:{web.port}/")
