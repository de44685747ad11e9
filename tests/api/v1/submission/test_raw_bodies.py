"""A medium as the body: `curl --data-binary @x.png -H 'content-type: image/png' '.../v1/jobs?model=m'`."""

import json
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.problem_kinds import TYPE
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.conftest import written
from tests.jobs.media.samples import image, sound
from tests.ledger import JobQueue

PNG = image("PNG")
HERE = {"content-type": "image/png"}


async def test_a_medium_is_the_only_input(
    client: httpx.AsyncClient, redis: ArqRedis, settings: Settings
) -> None:
    asked = {
        "model": "pictures",
        "parameters": json.dumps({"top_k": 2, "shape": {"a": [1]}}),
        "priority": "high",
        "expires_in": "60",
        "result_ttl": "600.5",
        "keep_inputs": "true",
    }
    answer = await client.post("/v1/jobs", params=asked, content=PNG, headers=HERE)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["model"], answer.json()["counts"]["total"]) == ("pictures", 1)
    queue = JobQueue(redis, settings, ["pictures"])
    stored = await queue.inputs_of(answer.json()["id"])
    assert (stored.inputs, stored.parameters) == ([PNG], {"top_k": 2, "shape": {"a": [1]}})


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "Audio/MPEG; x=y"])
async def test_the_bytes_decide(client: httpx.AsyncClient, content_type: str) -> None:
    """The content type may be wrong; the default model is the first."""
    for query in ("", "?model=pictures&wait=0"):
        answer = await client.post(f"/v1/jobs{query}", content=PNG, headers={"content-type": content_type})
        assert answer.status_code == 202, answer.text


BAD: dict[str, tuple[dict[str, str], bytes, str, dict[str, Any]]] = {
    "nothing": ({}, b"", "the body is empty", {}),
    "another kind": (
        {},
        sound("WAV"),
        "inputs: not image data in a supported format: this is WAV (audio)",
        {"pointer": "/inputs"},
    ),
    "no medium": ({}, b'{"inputs": "x"}', "its first bytes are of none", {"pointer": "/inputs"}),
    "too many bytes": ({}, PNG + bytes(5_000), "max_input_bytes in models.toml", {"pointer": "/inputs"}),
    "too long a sound": (
        {"model": "sounds"},
        sound("MP3"),
        "raise max_seconds in models.toml",
        {"pointer": "/inputs"},
    ),
    "a model that reads texts": (
        {"model": "texts"},
        PNG,
        "the kind text, which cannot be sent as image/png",
        {},
    ),
    "a model that reads JSON": ({"model": "shapes"}, PNG, "send JSON or a form", {}),
    "wrong JSON": ({"parameters": "{"}, PNG, "parameters: not valid JSON", {"parameter": "parameters"}),
    "the place in wrong JSON": (
        {"parameters": '{"top_k": x}'},
        PNG,
        "invalid character (byte 10)",
        {"parameter": "parameters"},
    ),
    "two objects": (
        {"parameters": '{},"keep_inputs":true'},
        PNG,
        "trailing characters",
        {"parameter": "parameters"},
    ),
    "no object": (
        {"parameters": "[1]"},
        PNG,
        "parameters: give an object, not a list",
        {"parameter": "parameters"},
    ),
    "deep JSON": (
        {"parameters": '{"shape":' + '{"a":' * 300 + "1" + "}" * 301},
        PNG,
        "nested",
        {"parameter": "parameters"},
    ),
    "unknown parameter": ({"parameters": '{"k": 1}'}, PNG, "k is unknown", {"parameter": "parameters"}),
    "wrong parameter": ({"parameters": '{"top_k": "2"}'}, PNG, "whole number", {"parameter": "parameters"}),
    "unknown priority": ({"priority": "urgent"}, PNG, "give high, normal or low", {"parameter": "priority"}),
    "no number": ({"expires_in": "soon"}, PNG, "a number above 0", {"parameter": "expires_in"}),
    "no finite number": ({"expires_in": "nan"}, PNG, "a number above 0", {"parameter": "expires_in"}),
    "no truth": ({"keep_inputs": "perhaps"}, PNG, "true or false", {"parameter": "keep_inputs"}),
    "a long lifetime": (
        {"result_ttl": "1e9"},
        PNG,
        "result_ttl: give at most 86,400",
        {"pointer": "/result_ttl"},
    ),
    "an unknown name": ({"modle": "x"}, PNG, "query parameter 'modle' is unknown; allowed here: exp", {}),
}


@pytest.mark.parametrize(("query", "body", "detail", "more"), BAD.values(), ids=BAD)
async def test_what_is_refused(
    client: httpx.AsyncClient,
    redis: ArqRedis,
    query: dict[str, str],
    body: bytes,
    detail: str,
    more: dict[str, Any],
) -> None:
    answer = await client.post("/v1/jobs", params=query, content=body, headers=HERE)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, f"{TYPE}invalid-request")
    assert detail in problem["detail"]
    assert problem.items() >= more.items()
    assert await written(redis) == set()


async def test_other_refusals(client: httpx.AsyncClient) -> None:
    for query, body, status in (
        ("?model=nix", PNG, 404),
        ("?model=pictures&model=sounds", PNG, 422),
        ("", PNG + bytes(100_001), 413),
    ):
        answer = await client.post(f"/v1/jobs{query}", content=body, headers=HERE)
        assert answer.status_code == status, answer.text
    assert "BATCHLINE_MAX_REQUEST_BYTES" in answer.json()["detail"]
    answer = await client.post("/v1/jobs?model=shapes", json={"inputs": 1})
    assert (answer.status_code, answer.json()["parameter"]) == (422, "model")


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=x"])
async def test_pages_of_other_sites_may_not_send_it(settings: Settings, content_type: str) -> None:
    """A browser sends a form to any server without asking it first."""
    body = PNG
    if "form" in content_type:
        body = b'--x\r\ncontent-disposition: form-data; name="inputs"; filename="a"\r\n\r\n%b\r\n--x--' % PNG
    origin = "https://app.example.org"
    other = {"sec-fetch-site": "cross-site", "origin": origin}
    async with mounted(settings) as (client, _):
        for sent, status in (
            (other, 403),
            ({"sec-fetch-site": "same-site"}, 403),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"sec-fetch-site": "same-origin", "origin": "http://edge"}, 202),
            ({"origin": "http://edge"}, 202),
            ({}, 202),
        ):
            answer = await client.post(
                "/v1/jobs", content=body, headers=sent | {"content-type": content_type}
            )
            assert answer.status_code == status, (sent, answer.text)
            assert status == 202 or answer.json()["type"] == f"{TYPE}cross-site"
    allowing = settings.model_copy(update={"cors_origins": origin})
    async with mounted(allowing) as (client, _):
        answer = await client.post("/v1/jobs", content=body, headers=other | {"content-type": content_type})
        assert answer.status_code == 202


async def test_pages_of_other_sites_may_not_send_json_without_a_type(settings: Settings) -> None:
    """Earlier browsers send no sec-fetch-site, and a body without a type needs no permission either."""
    async with mounted(settings) as (client, _):
        for sent, status in (
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"origin": "http://edge"}, 422),
            ({}, 422),
        ):
            answer = await client.post("/v1/jobs", content=b"{}", headers=sent)
            assert answer.status_code == status, (sent, answer.text)
