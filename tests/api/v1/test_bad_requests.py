"""What must not get in: each is answered by a problem, leaves nothing in Redis, and the server goes on."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis
from structlog.testing import capture_logs

from api.edge.json_shape import MAX_DEPTH
from api.problems.problem import MAX_DETAIL
from api.problems.statuses import STATUSES
from jobs.problem_kinds import TITLES, TYPE
from jobs.settings import MIB, Settings
from tests.api.api_process import serving
from tests.conftest import written

NESTED = b"[" * 1_000 + b"]" * 1_000


def deep(levels: int) -> bytes:
    return b'{"model":"shapes","inputs":' + b"[" * levels + b"]" * levels + b"}"


BAD = {
    "empty body": (b"", "invalid-request", None),
    "not JSON": (b"inputs=x", "invalid-request", None),
    "half a document": (b'{"inputs": "x"', "invalid-request", None),
    "two documents": (b'{"inputs": "x"} {}', "invalid-request", None),
    "not an object": (b'["x"]', "invalid-request", None),
    "no inputs": (b'{"model": "sentiment"}', "invalid-request", None),
    "no input": (b'{"inputs": []}', "invalid-request", "/inputs"),
    "a number for a text": (b'{"inputs": 7}', "invalid-request", "/inputs"),
    "a number among texts": (b'{"inputs": ["a", 7]}', "invalid-request", "/inputs/1"),
    "null": (b'{"inputs": null}', "invalid-request", "/inputs"),
    "a number for a model": (b'{"inputs": "x", "model": 7}', "invalid-request", "/model"),
    "unknown model": (b'{"inputs": "x", "model": "nix"}', "unknown-model", "/model"),
    "unknown field": (b'{"inputs": "x", "input": "y"}', "invalid-request", None),
    "unknown parameter": (b'{"inputs":"x","parameters":{"tok_p":1}}', "invalid-request", "/parameters"),
    "parameter of a wrong type": (
        b'{"inputs":"x","parameters":{"top_k":"1"}}',
        "invalid-request",
        "/parameters/top_k",
    ),
    "parameters no object": (b'{"inputs":"x","parameters":[]}', "invalid-request", "/parameters"),
    "unknown priority": (b'{"inputs":"x","priority":"urgent"}', "invalid-request", "/priority"),
    "no time to start in": (b'{"inputs":"x","expires_in":0}', "invalid-request", "/expires_in"),
    "a year to start in": (b'{"inputs":"x","expires_in":31536000}', "invalid-request", "/expires_in"),
    "a large text that is no UTF-8": (
        b'{"inputs":["a","%b\xff"]}' % (b"x" * 300_000),
        "invalid-request",
        "/inputs/1",
    ),
    "NaN": (b'{"inputs": NaN}', "invalid-request", None),
    "infinity": (b'{"inputs":"x","expires_in":Infinity}', "invalid-request", None),
    "a number out of range": (b'{"model":"shapes","inputs": 1e999}', "invalid-request", "/inputs"),
    "an integer out of range": (
        b'{"model":"shapes","inputs":[1,{"a":18446744073709551616}]}',
        "invalid-request",
        "/inputs",
    ),
    "a parameter out of range": (
        b'{"model":"shapes","inputs":1,"parameters":{"shape":{"a":-9223372036854775809}}}',
        "invalid-request",
        "/parameters",
    ),
    "a lone surrogate": (b'{"inputs": "\\ud800"}', "invalid-request", None),
    "an encoded surrogate": (b'{"inputs": "\xed\xa0\x80"}', "invalid-request", None),
    "no UTF-8": (b'{"inputs": "\xff\xfe"}', "invalid-request", None),
    "nested 1,000 deep": (b'{"inputs": ' + NESTED + b"}", "invalid-request", None),
    "nested 100,000 deep": (deep(100_000), "invalid-request", None),
    "nested 500 deep": (deep(500), "invalid-request", "/inputs"),
    "nested one too deep": (deep(MAX_DEPTH + 1), "invalid-request", "/inputs"),
    "parameters nested deep": (
        b'{"model":"shapes","inputs":1,"parameters":{"shape":{"a":' + b"[" * 200 + b"]" * 200 + b"}}}",
        "invalid-request",
        "/parameters",
    ),
    "100,000 inputs": (
        msgspec.json.encode({"inputs": ["x"] * 100_000}),
        "invalid-request",
        "/inputs",
    ),
    "a text too long": (
        msgspec.json.encode({"inputs": "x" * 100_001}),
        "invalid-request",
        "/inputs",
    ),
    "a text of 7 MB": (msgspec.json.encode({"inputs": "x" * 7 * MIB}), "invalid-request", "/inputs"),
    "a text of 10 MB": (msgspec.json.encode({"inputs": "x" * 10 * MIB}), "payload-too-large", None),
    "a model's name of 1 MB": (
        msgspec.json.encode({"inputs": "x", "model": "x" * MIB}),
        "unknown-model",
        "/model",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_told_and_leaves_nothing(
    client: httpx.AsyncClient, redis: ArqRedis, name: str
) -> None:
    body, kind, pointer = BAD[name]
    answer = await client.post(
        "/v1/jobs", content=body, headers={"content-type": "application/json", "idempotency-key": "k"}
    )
    status, title = STATUSES[kind], TITLES[kind]
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["title"], problem["status"]) == (TYPE + kind, title, status)
    assert problem.get("pointer") == pointer
    assert 0 < len(problem["detail"]) <= MAX_DETAIL
    assert problem["message"] == problem["detail"], "many generic clients show only that"
    assert await written(redis) == set(), "nothing is left"
    assert (await client.post("/v1/jobs", json={"inputs": "x"})).status_code == 202, "the server goes on"


async def test_json_of_just_the_allowed_depth_is_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", content=deep(MAX_DEPTH))
    assert answer.status_code == 202
    assert (await client.delete(answer.headers["location"])).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "image"},
        {"content-type": "text/plain"},
        {"content-type": "application/json", "content-encoding": "br"},
        {"sec-fetch-site": "cross-site"},
    ],
)
async def test_other_content_is_refused(
    client: httpx.AsyncClient, redis: ArqRedis, headers: dict[str, str]
) -> None:
    answer = await client.post("/v1/jobs", content=b'{"inputs": "x"}', headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, f"{TYPE}unsupported-media-type")
    assert await written(redis) == set()


async def test_a_body_is_not_read_further_than_the_limit(client: httpx.AsyncClient) -> None:
    """Sent in pieces without a length, the body is refused by what has come so far."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += MIB
            yield b" " * MIB

    answer = await client.post("/v1/jobs", content=endless())
    assert (answer.status_code, answer.json()["type"]) == (413, f"{TYPE}payload-too-large")
    assert (answer.json()["max_bytes"], sent) == (8 * MIB, 9 * MIB)


@pytest.mark.parametrize(
    ("method", "path", "kind", "allow"),
    [
        ("GET", "/nowhere", "not-found", None),
        ("PUT", "/v1/jobs", "method-not-allowed", {"GET", "POST"}),
        ("PATCH", "/v1/jobs/x", "method-not-allowed", {"GET", "DELETE"}),
    ],
)
async def test_what_the_framework_refuses_is_a_problem_too(
    client: httpx.AsyncClient, method: str, path: str, kind: str, allow: set[str] | None
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (STATUSES[kind], TYPE + kind)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.headers.get("allow", "").split(", ")) == (allow or {""})


async def test_an_unforeseen_error_tells_nothing_of_the_inside(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("jobs.ledger.ledger.Ledger.read", broken)
    with capture_logs() as logs:
        answer = await client.get("/v1/jobs/x")
        page = await client.get("/jobs/x", headers={"accept": "text/html"})
    assert (answer.status_code, answer.json()["type"]) == (500, f"{TYPE}internal-error")
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    line, _ = logs
    assert (line["event"], line["path"], line["exc_info"]) == ("unexpected error", "/v1/jobs/x", True)
    assert "secret" not in answer.text + page.text


async def test_a_client_that_hangs_up_while_sending_is_no_error(settings: Settings) -> None:
    async with serving(settings) as (client, services):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(
            b"POST /v1/jobs HTTP/1.1\r\nhost: edge\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n"
        )
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n", "it is being read"
        with capture_logs() as logs:
            writer.close()
            await writer.wait_closed()
            for _ in range(3):  # the disconnect is noticed before these are answered
                assert (await client.get("/health/live")).status_code == 200
        assert logs == []
        refused = services.metrics.registry.get_sample_value
        assert refused("batchline_requests_refused_total", {"reason": "internal-error"}) is None


async def test_a_body_announced_too_large_is_not_asked_for(settings: Settings) -> None:
    async with serving(settings) as (client, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        head = (
            b"POST /v1/jobs HTTP/1.1\r\nhost: edge\r\nexpect: 100-continue\r\ncontent-length: 8388609\r\n\r\n"
        )
        writer.write(head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 "), "and no 100 Continue before it"
        writer.close()
        await writer.wait_closed()


async def test_a_real_server_refuses_ten_megabytes_and_goes_on(settings: Settings, redis: ArqRedis) -> None:
    body = msgspec.json.encode({"inputs": "x" * 10 * MIB})
    async with serving(settings) as (client, _):
        answers = await asyncio.gather(*(client.post("/v1/jobs", content=body) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {413}
        assert await written(redis) == set()
        assert (await client.post("/v1/jobs", json={"inputs": "x"})).status_code == 202


async def test_a_body_that_does_not_come_is_not_waited_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.edge.bodies.BODY_SECONDS", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b'{"inputs": '
        await asyncio.Event().wait()

    answer = await client.post("/v1/jobs", content=stalled(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (408, "urn:batchline:problem:request-timeout")


async def test_a_form_that_nobody_typed_is_refused(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    answer = await client.post("/submit", data={"text": "x" * 300_000})
    assert answer.status_code == 413
    assert await written(redis) == set()
