"""Answers of lines are those of the synchronous calls with the same bodies, by a real worker."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from jobs.settings import Settings
from tests import processes, valkey
from tests.api.api_process import mounted
from tests.bulk.runner.lines.conftest import Running, batch, line, rows
from tests.clients import models
from tests.conftest import checked_client, empty_database
from tests.journey.conftest import ready
from tests.ledger import JobQueue
from tests.waiting import until

CHAT = [{"role": "user", "content": "the bridge of the river"}]
BODIES: dict[str, list[dict[str, Any]]] = {
    "/v1/embeddings": [
        {"model": "org/embedder", "input": "the bridge"},
        {"model": "org/embedder", "input": ["the bridge of the river", "a", "the " * 30]},
        {"model": "org/embedder", "input": "the river", "dimensions": 8},
        {"model": "org/embedder", "input": "the river", "encoding_format": "base64"},
    ],
    "/v1/chat/completions": [
        {"model": "writer", "messages": CHAT, "max_tokens": 4, "temperature": 0},
        {"model": "writer", "messages": CHAT, "max_tokens": 5, "temperature": 0, "n": 2},
        {"model": "writer", "messages": [{"role": "nobody", "content": "a"}]},
    ],
    "/v1/completions": [
        {"model": "writer", "prompt": ["the bridge", "the"], "max_tokens": 4, "temperature": 0},
        {"model": "writer", "prompt": "the bridge of", "max_tokens": 4, "temperature": 0},
    ],
    "/v1/moderations": [
        {"model": "moods", "input": "the bridge"},
        {"model": "moods", "input": ["the river", "a", [1]]},
        {"model": "moods", "input": ["the river", "a"]},
    ],
    "/v1/rerank": [
        {"model": "org/ranker", "query": "the bridge", "documents": ["the river", "the bridge of anna"]},
        {"model": "org/ranker", "query": "anna", "documents": ["the", "a", "the " * 20], "top_n": 2},
        {"model": "org/ranker", "query": "anna", "documents": ["the"], "return_documents": True},
    ],
    "/v1/jobs": [
        {"model": "moods", "inputs": "the bridge"},
        {"model": "moods", "inputs": ["the river", "a"], "parameters": {"top_k": None}},
        {"model": "moods", "inputs": ["the river"], "parameters": {"top_k": "b"}},
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def settings(
    server: valkey.Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Settings]:
    """Of a queue with a ready worker for each model."""
    folder: Path = tmp_path_factory.mktemp("lines")
    settings = Settings(redis_url=empty_database(server), models_file=models.write(folder))
    with ExitStack() as stack:
        given = {"redis_url": settings.redis_url, "models_file": settings.models_file}
        stack.enter_context(processes.running("worker", **given))
        async with mounted(settings) as (client, _):
            await until(partial(ready, client), 90)
        yield settings


@pytest.fixture
async def running(settings: Settings) -> AsyncIterator[Running]:
    async with checked_client(settings) as redis, mounted(settings) as (client, services):
        yield Running(services, JobQueue(redis, settings, models.MODELS), client)


def changing(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The parts of an answer that are the same each time: without ids and times, numbers rounded."""
    found: dict[str, Any] = rounded(
        {name: value for name, value in body.items() if name not in ("id", "created")}
    )
    if url == "/v1/jobs":
        return {name: found.get(name) for name in ("model", "status", "counts", "results", "detail")}
    return found


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


async def sent(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await client.post(url, json=body, params={"wait": "60"} if url == "/v1/jobs" else None)
    return answer.status_code, changing(url, answer.json())


@pytest.mark.parametrize("url", BODIES)
async def test_lines_are_answered_as_synchronous_calls(running: Running, url: str) -> None:
    bodies = BODIES[url]
    expected = [await sent(running.client, url, body) for body in bodies]
    lines = [line(number, body) for number, body in enumerate(bodies)]
    lines += [line(number + len(bodies), body) for number, body in enumerate(bodies)]  # they share jobs
    found = await running.begin(batch(url, name=url.rpartition("/")[2]), lines)
    both = rows([*found.output, *found.errors])
    assert len(both) == len(lines)
    for number in range(len(lines)):
        response = both[f"line-{number}"]["response"]
        got = response["status_code"], changing(url, response["body"])
        assert got == expected[number % len(bodies)], url
    assert len(found.output) == 2 * sum(status == 200 for status, _ in expected)
    assert len(found.jobs) < len(found.output), "lines shared jobs"
    used = [body.get("usage", body.get("counts")) for status, body in expected if status == 200]
    tokens = [one.get("prompt_tokens", one.get("tokens")) for one in used if one]
    if url != "/v1/moderations":
        assert all(tokens), msgspec.json.encode(expected)
