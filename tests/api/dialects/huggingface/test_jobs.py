"""A request to `POST /models/{name}` is a job like any other: large and repeated ones, keys, other sites."""

import asyncio
import base64
import threading
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from api.edge.decoding import THREAD_BYTES
from jobs.ledger.leasing import Claimed
from jobs.ledger.reading import INLINE_BYTES
from jobs.media.files import link_start
from jobs.settings import Settings
from tests.api.access.keyed import Keyed, bearer, keyed
from tests.api.dialects.huggingface.one_job import answered
from tests.ledger import JobQueue, with_files, with_results
from tests.waiting import until
from tests.worker.engine.pipelines.pictures import PICTURES

VECTORS = "/models/vectors"


async def test_a_large_answer_is_whole(client: httpx.AsyncClient, queue: JobQueue) -> None:
    vector = [round(number / 7, 6) for number in range(INLINE_BYTES // 40)]
    texts = [f"text {number}" for number in range(50)]
    assert len(str(vector)) * len(texts) > INLINE_BYTES
    asking = client.post(VECTORS, json={"inputs": texts})
    reply, given = await answered(queue, "vectors", asking, {"output": vector})
    assert given.inputs == texts
    assert reply.json() == [vector] * len(texts)
    assert reply.headers["x-batchline-job"]


async def test_a_large_body_is_whole(client: httpx.AsyncClient, queue: JobQueue) -> None:
    texts = ["word " * 60 + str(number) for number in range(1_000)]
    assert sum(map(len, texts)) > THREAD_BYTES
    reply, given = await answered(
        queue, "vectors", client.post(VECTORS, json={"inputs": texts, "normalize": True}), {"output": [0.5]}
    )
    assert (given.inputs, given.parameters) == (texts, {"normalize": True})
    assert reply.json() == [[0.5]] * len(texts)
    picture = PICTURES[0] + bytes(THREAD_BYTES)
    forms: list[dict[str, Any]] = [
        {"content": picture},
        {"json": {"inputs": base64.b64encode(picture).decode()}},
    ]
    for how in forms:
        sent = client.post("/models/look", **how)
        reply, given = await answered(queue, "look", sent)
        medium: Any = given.inputs[0]
        assert (reply.status_code, medium.size) == (200, len(picture)), "it is stored beside the payload"


async def test_a_repeated_request_is_one_job(client: httpx.AsyncClient, queue: JobQueue) -> None:
    how: dict[str, Any] = {
        "json": {"inputs": "a"},
        "headers": {"idempotency-key": "k", "x-batchline-priority": "high"},
    }
    first, _ = await answered(queue, "sentiment", client.post("/models/sentiment", **how))
    again = await client.post("/models/sentiment", **how)
    assert again.json() == first.json()
    assert again.headers["x-batchline-job"] == first.headers["x-batchline-job"]
    assert again.headers["idempotency-replayed"] == "true"
    other = await client.post("/models/sentiment", **{**how, "json": {"inputs": "b"}})
    assert (other.status_code, other.json()["error_type"]) == (422, "idempotency_mismatch")


async def test_a_key_reaches_its_models_only(settings: Settings, redis: ArqRedis) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key(models=frozenset({"sentiment"}))
        headers = bearer(secret)
        closed = await edge.client.post("/models/look", content=PICTURES[0], headers=headers)
        assert (closed.status_code, closed.json()["error_type"]) == (404, "unknown_model")
        assert "look" not in closed.json()["error"].replace("'look'", "")
        nobody = await edge.client.post("/models/sentiment", json={"inputs": "a"})
        assert (nobody.status_code, nobody.json()["error_type"]) == (401, "unauthorized")
        _, reader = await edge.key(scopes=frozenset({"read"}))
        refused = await edge.client.post("/models/sentiment", json={"inputs": "a"}, headers=bearer(reader))
        assert (refused.status_code, refused.json()["error_type"]) == (403, "forbidden")
        assert (await edge.client.get("/models/sentiment/info", headers=headers)).status_code == 200


async def test_the_page_of_another_site_sends_nothing(client: httpx.AsyncClient) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    requests: list[dict[str, Any]] = [
        {"content": PICTURES[0]},
        {"content": PICTURES[0], "headers": {"content-type": "image/png"}},
        {"content": b'{"inputs": "a"}', "headers": {"content-type": "text/plain"}},
    ]
    for how in requests:
        headers = {**foreign, **how.get("headers", {})}
        reply = await client.post("/models/look", content=how["content"], headers=headers)
        assert (reply.status_code, reply.json()["error_type"]) == (403, "cross_site")


async def test_files_that_are_gone_are_an_error(client: httpx.AsyncClient, queue: JobQueue) -> None:
    def gone(job_id: str) -> dict[str, Any]:
        file = {"url": f"{link_start(job_id, 0)}0.wav", "content_type": "audio/wav", "bytes": 9}
        return {"output": {"audio": file}}

    for result, status, kind in ((gone, 410, "job_gone"), ({"output": {"audio": None}}, 500, "generation")):
        asking = client.post("/models/speak", json={"inputs": "a"})
        reply, _ = await answered(queue, "speak", asking, result)
        assert (reply.status_code, reply.json()["error_type"]) == (status, kind)
        assert reply.json()["job_id"] == reply.headers["x-batchline-job"]


async def test_large_files_are_encoded_beside_the_event_loop(
    client: httpx.AsyncClient, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []

    def encoded(content: bytes) -> bytes:
        threads.append(threading.current_thread() is threading.main_thread())
        return base64.b64encode(content)

    monkeypatch.setattr("api.dialects.huggingface.file_answers.base64", SimpleNamespace(b64encode=encoded))
    for size in (9, THREAD_BYTES):
        asking = asyncio.create_task(client.post("/models/depth", content=PICTURES[0]))
        claimed: list[Claimed] = []

        async def found(claimed: list[Claimed] = claimed) -> bool:
            claimed.extend((await queue.claim("depth", 1))[0])
            return bool(claimed)

        await until(found)
        [job] = claimed
        await queue.store([(job, "0-0.png", b"x" * size)])
        file = {"url": f"{link_start(job.id, 0)}0.png", "content_type": "image/png", "bytes": size}
        results = msgspec.json.encode([{"output": {"depth": file}}])
        await queue.finish("depth", [with_files(with_results(job, results, 1, "depth"))])
        assert base64.b64decode((await asking).json()["depth"]) == b"x" * size
    assert threads == [True, False]


async def test_a_key_that_may_submit_may_ask_whether_the_model_is_served(guarded: Keyed) -> None:
    """As TEI's `/health` and ours: a probe needs no right to read jobs."""
    _, secret = await guarded.key("alice", scopes=frozenset({"submit"}))
    answer = await guarded.client.get("/models/sentiment/health", headers=bearer(secret))
    assert (answer.status_code, answer.json()["error_type"]) == (503, "unhealthy")
