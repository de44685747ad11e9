"""Answers of the lines of batches are those of the synchronous calls with the same bodies."""

from typing import Any

import httpx
import msgspec
import pytest

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


async def batch(client: httpx.AsyncClient, endpoint: str, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Runs the bodies as the lines of a batch, and returns it with the rows of its files."""
    lines = [
        {"custom_id": str(number), "method": "POST", "url": endpoint, "body": body}
        for number, body in enumerate(bodies)
    ]
    content = b"\n".join(map(msgspec.json.encode, lines))
    upload = await client.post("/v1/files", files={"file": ("a.jsonl", content)}, data={"purpose": "batch"})
    asked = {"input_file_id": upload.json()["id"], "endpoint": endpoint, "completion_window": "24h"}
    created: dict[str, Any] = (await client.post("/v1/batches", json=asked)).json()

    async def ended() -> bool:
        created.update((await client.get(f"/v1/batches/{created['id']}")).json())
        assert created["status"] != "failed", created["errors"]
        return bool(created["status"] == "completed")

    await until(ended)
    rows = {}
    for file in (created["output_file_id"], created["error_file_id"]):
        if file is not None:
            for row in (await client.get(f"/v1/files/{file}/content")).content.splitlines():
                found = msgspec.json.decode(row)
                rows[found["custom_id"]] = found
    return created | {"rows": rows}


@pytest.mark.parametrize("endpoint", BODIES)
async def test_lines_are_answered_as_synchronous_calls(url: str, endpoint: str) -> None:
    bodies = BODIES[endpoint]
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        expected = [await sent(client, endpoint, body) for body in bodies]
        found = await batch(client, endpoint, [*bodies, *bodies])  # equal parameters: they share jobs
    for number in range(2 * len(bodies)):
        response = found["rows"][str(number)]["response"]
        got = response["status_code"], changing(endpoint, response["body"])
        assert got == expected[number % len(bodies)], endpoint
    jobs = {row["response"]["request_id"] for row in found["rows"].values() if row["error"] is None}
    assert len(jobs) < len(found["rows"]), "lines shared jobs"
    succeeded = [body for status, body in expected if status == 200]
    counts = {"total": 2 * len(bodies), "completed": 2 * len(succeeded)}
    assert found["request_counts"] == counts | {"failed": counts["total"] - counts["completed"]}
    for body in succeeded:
        used = body.get("usage") or body.get("counts") or {}
        assert endpoint == "/v1/moderations" or used.get("prompt_tokens") or used.get("tokens"), body
