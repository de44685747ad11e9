"""The limits of a key as a client meets them: 429, Retry-After and the RateLimit fields."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Scope

from api.access.caller import Caller
from jobs.ledger.ids import new_id
from jobs.owners import Limits, Sender
from jobs.settings import Settings
from tests.api.api_process import Edge, mounted

TYPE = "urn:batchline:problem:"


class Senders:
    """A resolver for tests: the header names the owner, whose limits are given."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)

    async def resolve(self, scope: Scope) -> Caller:
        owner = dict(scope["headers"]).get(b"x-owner", b"").decode()
        return Caller(Sender(owner, f"key-of-{owner}", limits=self.limits)) if owner else Caller()


@pytest.fixture
async def edge(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[Edge]:
    async with mounted(settings, resolver=Senders(**request.param)) as edge:
        yield edge


async def post(client: httpx.AsyncClient, inputs: int = 1, owner: str = "ann", **more: Any) -> httpx.Response:
    headers = {"x-owner": owner} if owner else {}
    body = {"inputs": ["x"] * inputs}
    return await client.post("/v1/jobs", json=body, headers=headers | more.pop("headers", {}), **more)


@pytest.mark.parametrize("edge", [{"inputs_per_minute": 6, "queued_bytes": 900}], indirect=True)
async def test_what_is_left_is_in_every_answer_to_a_submit(edge: Edge) -> None:
    client, services = edge
    answer = await post(client, 4)
    assert answer.status_code == 202
    assert answer.headers["ratelimit-policy"] == '"inputs";q=6;w=60, "queued-bytes";q=900;qu="content-bytes"'
    left, held = answer.headers["ratelimit"].split(", ")
    assert left in ('"inputs";r=2;t=10', '"inputs";r=2;t=9')
    assert held.startswith('"queued-bytes";r=')

    answer = await post(client, 3)
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == TYPE + "too-many-requests"
    assert problem["policy"] == "inputs"
    assert "6 inputs a minute" in problem["detail"]
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    assert answer.headers["ratelimit"].startswith('"inputs";r=2;t=')
    assert services.metrics.limited.labels("inputs")._value.get() == 1

    answer = await post(client, 7)
    assert (answer.status_code, answer.json()["type"]) == (413, TYPE + "payload-too-large")
    assert "retry-after" not in answer.headers
    assert answer.headers["ratelimit"].startswith('"inputs";r=2;t=')

    answer = await post(client, 7, owner="")
    assert answer.status_code == 202
    assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers), "the anonymous owner has no limits"


@pytest.mark.parametrize("edge", [{"requests_per_second": 0.3}, {"requests_per_second": 2.5}], indirect=True)
async def test_rates_are_whole_numbers_in_the_fields(edge: Edge) -> None:
    """Structured fields of the draft have integers only."""
    answer = await post(edge[0])
    assert answer.headers["ratelimit-policy"] in ('"requests";q=1;w=4', '"requests";q=2;w=1')


@pytest.mark.parametrize("edge", [{"requests_per_second": 0.01}], indirect=True)
async def test_the_form_of_the_pages_has_the_same_limits(edge: Edge) -> None:
    client, _ = edge
    form = {"text": "x", "mode": "one", "model": "sentiment"}
    answers = [
        await client.post("/submit", data=form, headers={"x-owner": "ann", "hx-request": "true"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert "the limit of 0.01 requests a second is reached" in answers[1].text


async def test_a_form_cannot_choose_another_shard(settings: Settings) -> None:
    settings = settings.model_copy(update={"shards": 4})
    async with mounted(settings, resolver=Senders(inputs_per_minute=3)) as (client, _):
        form = {"text": "x", "mode": "one", "model": "sentiment"}
        answers = [
            await client.post(
                "/submit",
                data=form | {"nonce": new_id(shard)},
                headers={"x-owner": "ann", "hx-request": "true"},
            )
            for shard in (0, 1, 2, 3)
        ]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429]


@pytest.mark.parametrize("shards", [1, 4])
async def test_two_api_processes_together_allow_exactly_the_limit(settings: Settings, shards: int) -> None:
    settings = settings.model_copy(update={"shards": shards})
    resolver = Senders(inputs_per_minute=3)  # so that the next one is allowed 20 s later only
    async with mounted(settings, resolver=resolver) as (a, _), mounted(settings, resolver=resolver) as (b, _):
        answers = await asyncio.gather(*(post(client) for client in (a, b) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 37
