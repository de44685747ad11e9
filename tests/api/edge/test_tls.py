"""HTTPS without a proxy: what clients get, and what they do with handshakes."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from api.edge import client_deadlines, connections, outgoing
from api.edge.connections import Limits
from jobs.settings import Settings
from standalone.readiness import is_ready
from tests.api.api_process import environment, serving
from tests.certificates import Certificates, needs_openssl
from tests.ledger import JobQueue, run_one
from tests.ports import free_port
from tests.processes import running
from tests.waiting import until

pytestmark = needs_openssl

SOON = 30.0
MIB = 1024 * 1024
GET = b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@pytest.fixture
async def edge(with_tls: Settings, first: Certificates) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(with_tls, verify=first.trusted()) as (client, _):
        yield client


class Client:
    """A blocking TLS connection, used in a thread."""

    def __init__(self, port: int, trusted: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=SOON)
        try:
            self.socket = trusted.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def ask(self, request: bytes = GET) -> bytes:
        self.socket.sendall(request)
        return self.socket.recv(64 * 1024)


async def served_by(port: int, made: Certificates) -> bool:
    """Whether a new connection is served with this certificate."""
    try:
        with closing((await asyncio.to_thread(Client, port, made.trusted())).socket):
            return True
    except (ssl.SSLError, ConnectionError, TimeoutError):  # it may still be starting
        return False


async def test_requests_work_in_both_directions(edge: httpx.AsyncClient, queue: JobQueue) -> None:
    """Also bodies and answers that take many records, on one connection."""
    text = "ä" * (50 * 1024)
    submitted = await edge.post("/v1/jobs", json={"inputs": [text] * 40})
    assert submitted.status_code == 202
    answers = [{"output": "x" * (200 * 1024)} for _ in range(40)]
    await run_one(queue, answers)
    result = await edge.get(submitted.json()["urls"]["result"])
    assert [each["output"] for each in result.json()["results"]] == [each["output"] for each in answers]
    assert (await edge.get("/", headers={"accept": "text/html"})).status_code == 200


async def test_an_upload_that_is_refused_gets_its_answer(edge: httpx.AsyncClient) -> None:
    """The client is still sending when the answer comes, and reads it nevertheless."""
    request = (
        b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )

    def refused() -> bytes:
        client = Client(edge.base_url.port or 0, edge_context)
        with closing(client.socket):
            client.socket.sendall(request % (48 * MIB))
            with suppress(ConnectionError):
                for _ in range(48):
                    client.socket.sendall(b"x" * MIB)
            return client.socket.recv(64 * 1024)

    edge_context = ssl.create_default_context()
    edge_context.check_hostname, edge_context.verify_mode = False, ssl.CERT_NONE
    assert (await asyncio.to_thread(refused)).startswith(b"HTTP/1.1 413 ")


async def test_a_reader_that_stops_is_hung_up_on(
    with_tls: Settings, first: Certificates, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without TLS: all unsent bytes are where the deadline looks for them."""
    monkeypatch.setattr(client_deadlines, "RATE_PERIOD", 0.1)
    monkeypatch.setattr(client_deadlines, "MAX_CREDIT", 1024)
    async with serving(with_tls, verify=first.trusted()) as (edge, _):
        path = (await edge.post("/v1/jobs", json={"inputs": "x"})).json()["urls"]["result"]
        await run_one(queue, [{"output": "x" * 16 * MIB}])
        client = await asyncio.to_thread(Client, edge.base_url.port or 0, first.trusted())
        with closing(client.socket), capture_logs() as logs:
            client.socket.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())

            async def hung_up() -> bool:
                return [entry["event"] for entry in logs] == ["client too slow"]

            await until(hung_up, SOON)


async def test_cookies_are_only_for_https(with_tls: Settings, first: Certificates) -> None:
    settings = with_tls.model_copy(update={"auth": "keys"})
    async with serving(settings, verify=first.trusted()) as (edge, _):
        cookie = (await edge.get("/sign-in")).headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert cookie.endswith("; Secure")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_versions_before_1_2_are_refused(edge: httpx.AsyncClient, first: Certificates) -> None:
    port = edge.base_url.port or 0
    old, newer = first.trusted(), first.trusted()
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    newer.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        await asyncio.to_thread(Client, port, old)
    client = await asyncio.to_thread(Client, port, newer)
    with closing(client.socket):
        assert client.socket.version() == "TLSv1.2"
        assert (await asyncio.to_thread(client.ask)).startswith(b"HTTP/1.1 200 ")


async def test_plain_http_gets_a_sentence(edge: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.base_url.port}") as plain:
        answer = await plain.get("/health/live")
    assert answer.status_code == 400
    assert "https://" in answer.text


async def test_other_bytes_end_the_connection_and_log_nothing(
    edge: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.base_url.port)
    writer.write(b"\x00" * 1000)
    async with asyncio.timeout(SOON):
        assert b"HTTP" not in await reader.read()
    writer.close()
    assert (await edge.get("/health/live")).status_code == 200
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


async def test_the_end_of_an_answer_is_told(edge: httpx.AsyncClient, first: Certificates) -> None:
    """close_notify: otherwise a client cannot distinguish the end from a cut connection."""
    client = await asyncio.to_thread(Client, edge.base_url.port or 0, first.trusted())
    with closing(client.socket):
        request = GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        assert (await asyncio.to_thread(client.ask, request)).startswith(b"HTTP/1.1 200 ")
        assert await asyncio.to_thread(client.socket.recv, 1) == b""


async def test_a_handshake_that_does_not_end_is_ended(
    with_tls: Settings, first: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for a request's headers begins with the connection. Meanwhile others are served."""
    begun: list[object] = []
    begin = client_deadlines.DeadlineProtocol._start_head_timer

    def noted(self: client_deadlines.DeadlineProtocol) -> None:
        begin(self)
        begun.append(self)

    monkeypatch.setattr(client_deadlines.DeadlineProtocol, "_start_head_timer", noted)
    monkeypatch.setattr(client_deadlines, "HEAD_SECONDS", 1.0)
    async with serving(with_tls, verify=first.trusted()) as (edge, _):
        opened = [await asyncio.open_connection("127.0.0.1", edge.base_url.port) for _ in range(20)]
        for _, writer in opened[10:]:
            writer.write(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello

        async def all_begun() -> bool:
            return len(begun) == 20

        await until(all_begun)
        monkeypatch.setattr(client_deadlines, "HEAD_SECONDS", 60.0)  # whoever is slow on a busy machine
        assert (await edge.get("/health/live")).status_code == 200
        async with asyncio.timeout(SOON):
            assert [await reader.read() for reader, _ in opened] == [b""] * 20
        for _, writer in opened:
            writer.close()


async def test_handshakes_count_as_connections(
    with_tls: Settings, first: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit the oldest of them makes room."""
    monkeypatch.setattr(connections, "FRESH", 0.0)
    monkeypatch.setattr(Limits, "of_process", lambda: Limits(2, 16))
    async with serving(with_tls, verify=first.trusted()) as (edge, _):
        opened = [await asyncio.open_connection("127.0.0.1", edge.base_url.port) for _ in range(2)]
        assert (await edge.get("/health/live")).status_code == 200
        async with asyncio.timeout(SOON):
            assert await opened[0][0].read() == b""
        for _, writer in opened:
            writer.close()


async def test_a_connection_above_the_limit_is_refused_by_an_answer(
    with_tls: Settings, first: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by its end, which does not wait until the client has stopped sending."""
    monkeypatch.setattr(connections, "FRESH", 3600.0)
    monkeypatch.setattr(outgoing, "LINGER_SECONDS", 3600.0)
    monkeypatch.setattr(Limits, "of_process", lambda: Limits(0, 16))
    async with serving(with_tls) as (edge, _):
        client = await asyncio.to_thread(Client, edge.base_url.port or 0, first.trusted())
        with closing(client.socket):
            answer = await asyncio.to_thread(client.ask)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in answer
            assert await asyncio.to_thread(client.socket.recv, 1) == b""


async def test_a_new_certificate_is_served_and_open_connections_go_on(
    with_tls: Settings, files: tuple[Path, Path], first: Certificates, second: Certificates
) -> None:
    """By each of several processes."""
    port = free_port()
    given = environment(with_tls, port)
    named = {name.removeprefix("BATCHLINE_").lower(): value for name, value in given.items()}
    with running("api", **named, tls_cert=files[0], tls_key=files[1], api_processes=2):
        await until(lambda: served_by(port, first))
        old = await asyncio.to_thread(Client, port, first.trusted())
        assert b" 200 " in await asyncio.to_thread(old.ask)
        assert await is_ready(with_tls.model_copy(update={"port": port})) is False, "no worker, but an answer"
        second.install(files)

        async def all_have_it() -> bool:
            assert b" 200 " in await asyncio.to_thread(old.ask)  # or it would be idle, and closed, after 5 s
            return all([await served_by(port, second) for _ in range(20)])

        await until(all_have_it)
        assert not await served_by(port, first)
        assert b" 200 " in await asyncio.to_thread(old.ask)
        old.socket.close()
