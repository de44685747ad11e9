"""/v1/batches: what is accepted, shown, listed and refused. No runner here: tests/bulk/runner/ has it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.app import DIALECTS
from api.services import Services
from bulk.batches.batch import ENDPOINTS, Fault
from bulk.batches.runs import NewOutput, Part, Runs
from bulk.files.file import NewFile, Purpose
from jobs.settings import Settings
from tests.api.access.keyed import ADMIN, Keyed, bearer
from tests.api.api_process import mounted

Edge = tuple[httpx.AsyncClient, Services]


@pytest.fixture
async def edge(settings: Settings) -> AsyncIterator[Edge]:
    async with mounted(settings) as edge:
        yield edge


async def uploaded(services: Services, owner: str = "", purpose: Purpose = "batch") -> str:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"custom_id": "a"}\n'

    new = NewFile(owner=owner, purpose=purpose, filename="input.jsonl")
    return (await services.files.create(new, parts())).id


def body(file_id: str, **changed: Any) -> dict[str, Any]:
    fields = {"input_file_id": file_id, "endpoint": "/v1/embeddings", "completion_window": "24h", **changed}
    return {name: value for name, value in fields.items() if value is not ...}


async def test_a_batch_as_openai_shows_it(edge: Edge) -> None:
    client, services = edge
    file_id = await uploaded(services)
    made = await client.post("/v1/batches", json=body(file_id, metadata={"what": "films"}))
    assert made.status_code == 200
    found = made.json()
    assert found["id"].startswith("batch_")
    assert found["expires_at"] - found["created_at"] == 86_400
    empty = "errors output_file_id error_file_id in_progress_at finalizing_at completed_at failed_at"
    empty += " expired_at cancelling_at cancelled_at model"
    assert {name: found[name] for name in empty.split()} == dict.fromkeys(empty.split())
    assert {name: found[name] for name in found.keys() - set(empty.split()) - {"id"}} == {
        "object": "batch",
        "endpoint": "/v1/embeddings",
        "input_file_id": file_id,
        "completion_window": "24h",
        "status": "validating",
        "created_at": found["created_at"],
        "expires_at": found["created_at"] + 86_400,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": {"what": "films"},
    }
    assert (await client.get(f"/v1/batches/{found['id']}")).json() == found


async def test_what_a_runner_does_is_shown(edge: Edge) -> None:
    client, services = edge
    runs = Runs(services.ledger.shards.first)
    file_id = await uploaded(services)
    for _ in range(2):
        await client.post("/v1/batches", json=body(file_id))
    bad, good = [taken for taken in (await runs.take(), await runs.take()) if taken]
    await runs.fail(bad, [Fault(code="empty_file", message="no lines"), Fault("x", "y", 2, "method")])
    found = (await client.get(f"/v1/batches/{bad.batch.id}")).json()
    assert (found["status"], found["failed_at"] is not None) == ("failed", True)
    assert found["errors"] == {
        "object": "list",
        "data": [
            {"code": "empty_file", "message": "no lines", "line": None, "param": None},
            {"code": "x", "message": "y", "line": 2, "param": "method"},
        ],
    }
    await runs.begin(good, model="sentiment", total=3, chunks=1, table="t")
    await runs.chunk_done(good, 0, Part("0-a", 2, 1, 20, 10))
    await runs.finalize(good)
    file = NewOutput("output_file_id", "file-12345678", "out.jsonl", 20)
    await runs.finish(good, [file])
    found = (await client.get(f"/v1/batches/{good.batch.id}")).json()
    assert (found["status"], found["model"]) == ("completed", "sentiment")
    assert found["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert (found["output_file_id"], found["error_file_id"]) == ("file-12345678", None)
    late = await client.post(f"/v1/batches/{good.batch.id}/cancel")
    assert late.status_code == 400
    assert "has ended as completed" in late.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"input_file_id": "../../etc"}, "input_file_id"),
        ({"input_file_id": 5}, "input_file_id"),
        ({"input_file_id": ...}, "input_file_id"),
        ({"endpoint": "/v1/nonsense"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "25"}, "completion_window"),
        ({"completion_window": "0h"}, "completion_window"),
        ({"completion_window": "8d"}, "completion_window"),
        ({"completion_window": "1m"}, "completion_window"),
        ({"completion_window": 24}, "completion_window"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 513}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 10}}, "output_expires_after"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after"),
        ({"media_file_id": "file-none"}, "media_file_id"),
        ({"webhook": {"url": "http://127.0.0.1/"}}, "webhook"),
        ({"webhook": {"url": "https://example.org/", "events": ["job.failed"]}}, "webhook"),
        ({"webhook": "https://example.org/"}, "webhook"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_bad_requests(edge: Edge, changed: dict[str, Any], names: str) -> None:
    client, services = edge
    answer = await client.post("/v1/batches", json=body(await uploaded(services), **changed))
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert names in error["message"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[]", b"\xff", b'"text"', b"[" * 10_000])
async def test_bad_bodies(edge: Edge, content: bytes) -> None:
    answer = await edge[0].post("/v1/batches", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_a_file_for_another_purpose(edge: Edge) -> None:
    client, services = edge
    file_id = await uploaded(services, purpose="user_data")
    answer = await client.post("/v1/batches", json=body(file_id))
    assert answer.status_code == 400
    assert "user_data" in answer.json()["error"]["message"]
    given = body(await uploaded(services), media_file_id=file_id)
    made = await client.post("/v1/batches", json=given)
    assert made.json()["media_file_id"] == file_id
    given["media_file_id"] = given["input_file_id"]
    assert (await client.post("/v1/batches", json=given)).status_code == 400


@pytest.mark.parametrize("window", ["1h", "24h", "168h", "7d"])
async def test_other_windows(edge: Edge, window: str) -> None:
    client, services = edge
    answer = await client.post("/v1/batches", json=body(await uploaded(services), completion_window=window))
    assert answer.status_code == 200
    assert answer.json()["completion_window"] == window


async def test_the_list(edge: Edge) -> None:
    client, services = edge
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert (await client.get("/v1/batches")).json() == empty
    file_id = await uploaded(services)
    made = [(await client.post("/v1/batches", json=body(file_id))).json()["id"] for _ in range(3)]
    page = (await client.get("/v1/batches", params={"limit": 2})).json()
    assert [batch["id"] for batch in page["data"]] == [page["first_id"], page["last_id"]] == made[:0:-1]
    assert page["has_more"] is True
    page = (await client.get("/v1/batches", params={"after": page["last_id"]})).json()
    assert ([batch["id"] for batch in page["data"]], page["has_more"]) == ([made[0]], False)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "after=none", "nonsense=1"])
async def test_a_bad_query(edge: Edge, query: str) -> None:
    answer = await edge[0].get(f"/v1/batches?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]["message"]


@pytest.mark.parametrize("batch_id", ["batch_none", "x", "%00", "a" * 3_000])
async def test_an_unknown_batch(edge: Edge, batch_id: str) -> None:
    for answer in (
        await edge[0].get(f"/v1/batches/{batch_id}"),
        await edge[0].post(f"/v1/batches/{batch_id}/cancel"),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_batch"


async def test_cancel(edge: Edge) -> None:
    client, services = edge
    made = (await client.post("/v1/batches", json=body(await uploaded(services)))).json()
    for _ in range(2):
        answer = await client.post(f"/v1/batches/{made['id']}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://other.example"}
    assert (await client.post(f"/v1/batches/{made['id']}/cancel", headers=foreign)).status_code == 403
    assert (await client.post("/v1/batches", json={}, headers=foreign)).status_code == 403


async def test_owners(guarded: Keyed) -> None:
    client, services = guarded.client, guarded.services
    _, alice = await guarded.key("alice")
    _, bob = await guarded.key("bob")
    _, reader = await guarded.key("alice", frozenset({"read"}))
    file_id = await uploaded(services, "alice")
    made = await client.post("/v1/batches", json=body(file_id), headers=bearer(alice))
    assert made.status_code == 200
    path = f"/v1/batches/{made.json()['id']}"
    assert (await client.post("/v1/batches", json=body(file_id), headers=bearer(bob))).status_code == 400
    assert (await client.post("/v1/batches", json=body(file_id), headers=bearer(reader))).status_code == 403
    assert (await client.get(path, headers=bearer(reader))).status_code == 200
    assert (await client.post(f"{path}/cancel", headers=bearer(reader))).status_code == 403
    assert (await client.get(path, headers=bearer(bob))).status_code == 404
    assert (await client.post(f"{path}/cancel", headers=bearer(bob))).status_code == 404
    assert (await client.get("/v1/batches", headers=bearer(bob))).json()["data"] == []
    assert (await client.get(path)).status_code == 401


def test_the_endpoints_are_those_of_the_dialects() -> None:
    known = {call.url for dialect in DIALECTS for call in dialect.line_calls}
    assert known >= set(ENDPOINTS)


async def sent(client: httpx.AsyncClient, purpose: str, headers: dict[str, str]) -> str:
    """The id of a file that was uploaded with a key."""
    answer = await client.post("/v1/files", files={"file": b"x"}, data={"purpose": purpose}, headers=headers)
    return str(answer.json()["id"])


async def test_the_archive_is_of_the_batchs_owner(guarded: Keyed) -> None:
    """An admin's key sees all files, but the lines of a batch read their archive as its owner."""
    client, services = guarded.client, guarded.services
    admin = bearer(ADMIN)
    input_id = await sent(client, "batch", admin)
    theirs = await uploaded(services, "alice", "user_data")
    answer = await client.post("/v1/batches", json=body(input_id, media_file_id=theirs), headers=admin)
    assert answer.status_code == 400
    assert "media_file_id: the file belongs to another owner" in answer.json()["error"]["message"]
    own = await sent(client, "user_data", admin)
    answer = await client.post("/v1/batches", json=body(input_id, media_file_id=own), headers=admin)
    assert answer.status_code == 200


async def test_metrics(edge: Edge) -> None:
    client, services = edge
    await client.post("/v1/batches", json=body(await uploaded(services)))
    shown = (await client.get("/metrics")).text
    assert 'batchline_bulk_batches{state="validating"} 1.0' in shown
    assert 'batchline_bulk_lines_total{outcome="completed"} 0.0' in shown
    assert "batchline_bulk_stored_bytes 19.0" in shown
