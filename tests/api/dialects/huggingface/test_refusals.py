"""Wrong requests to `POST /models/{name}`, and jobs without an answer, as errors of Hugging Face's form."""

import base64
from typing import Any

import httpx
from arq.connections import ArqRedis

from jobs.monitoring.roster import Roster
from jobs.problem_kinds import failure
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.dialects.huggingface.one_job import answered
from tests.ledger import JobQueue, first_shard, heartbeat, run_one
from tests.worker.engine.pipelines.pictures import PICTURES

PICTURE = PICTURES[0]
BASE64 = base64.b64encode(PICTURE).decode()
TYPED = {"content": PICTURE, "headers": {"content-type": "image/png"}}

REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("nobody", {"json": {"inputs": "a"}}, 404, "unknown_model", "no model named 'nobody' is served; known"),
    ("sentiment", {"content": b""}, 422, "validation", "the body is empty"),
    ("look", {"content": b""}, 422, "validation", "the body is empty"),
    ("sentiment", {"content": b"{"}, 422, "validation", "the body is not valid JSON"),
    ("sentiment", {"json": {}}, 422, "validation", "inputs is missing"),
    ("sentiment", {"json": {"inputs": []}}, 422, "validation", "give at least one input"),
    ("sentiment", {"json": {"inputs": ["a"] * 101}}, 422, "validation", "this model's limit of 100"),
    ("sentiment", {"json": {"inputs": 5}}, 422, "validation", "expected a text or a list of texts"),
    ("sentiment", {"json": {"inputs": ["a", 5]}}, 422, "validation", "inputs/1: expected a text"),
    (
        "sentiment",
        {"json": {"inputs": "a", "input": 1}},
        422,
        "validation",
        "input is unknown; there are",
    ),
    ("sentiment", {"json": {"inputs": "a", "parameters": 3}}, 422, "validation", "parameters: give"),
    (
        "sentiment",
        {"json": {"inputs": "a", "parameters": {"topk": 3}}},
        422,
        "validation",
        "parameters: topk is unknown; there are top_k",
    ),
    (
        "sentiment",
        {"json": {"inputs": "a", "parameters": {"top_k": 0}}},
        422,
        "validation",
        "parameters/top_k: give",
    ),
    (
        "sentiment",
        {"json": {"inputs": "a", "parameters": {"generate_parameters": 3}}},
        422,
        "validation",
        "parameters/generate_parameters: give an object",
    ),
    ("sentiment", {"json": {"inputs": "a", "stream": True}}, 422, "validation", "has no partial answers"),
    ("sentiment", {"json": {"inputs": "a", "normalize": True}}, 422, "validation", "normalize is unknown"),
    ("sentiment", {"json": {"inputs": 2**70}}, 422, "validation", "more than 64 bits"),
    ("sentiment", {"content": b"[" * 200}, 422, "validation", "the body"),
    ("sentiment", {"content": b'{"inputs": ' + b"[" * 300_000}, 422, "validation", "more than 100000 lists"),
    ("sentiment", {**TYPED}, 422, "validation", "reads inputs of the kind text; send JSON"),
    ("sentiment", {"data": {"inputs": "a"}}, 415, "unsupported_media_type", "send JSON (application/json)"),
    ("look", {"files": {"inputs": b"a"}}, 415, "unsupported_media_type", "multipart/form-data"),
    ("look", {"json": {"inputs": "&&&"}}, 422, "validation", "but this is not base64"),
    ("look", {"json": {"inputs": "aGVsbG8="}}, 422, "validation", "not image data in a supported format"),
    ("look", {"content": b"hello"}, 422, "validation", "not image data in a supported format"),
    ("look", {"content": b"a" * (8 * 1024 * 1024 + 1)}, 413, "validation", "BATCHLINE_MAX_REQUEST_BYTES"),
    ("ask", {"content": PICTURE}, 422, "validation", "question is missing"),
    ("ask", {"json": {"question": "what"}}, 422, "validation", "image is missing"),
    (
        "ask",
        {"json": {"inputs": {"image": BASE64, "question": "what"}, "question": "who"}},
        422,
        "validation",
        "question: give it in `inputs`, or beside a medium",
    ),
    (
        "page",
        {"json": {"inputs": BASE64, "parameters": {"word_boxes": 3}}},
        422,
        "validation",
        "inputs/word_boxes: give a list",
    ),
    (
        "page",
        {"json": {"inputs": [BASE64], "parameters": {"word_boxes": [["a", [1, 2, 3, 4]]]}}},
        422,
        "validation",
        "parameters/word_boxes: give it in each of the inputs",
    ),
    ("vectors", {"json": {"inputs": "a", "truncate": False}}, 422, "validation", "only true is supported"),
    (
        "vectors",
        {"json": {"inputs": "a", "prompt_name": "query"}},
        422,
        "validation",
        "parameters: prompt_name is unknown",
    ),
    (
        "vectors",
        {"json": {"inputs": "a", "normalize": True, "parameters": {"normalize": True}}},
        422,
        "validation",
        "parameters/normalize: it is also given in the root; give it once",
    ),
    (
        "writer",
        {"json": {"inputs": "a", "parameters": {"watermark": True}}},
        422,
        "validation",
        "parameters/watermark: only false is supported",
    ),
    (
        "writer",
        {"json": {"inputs": "a", "parameters": {"adapter_id": "x"}}},
        422,
        "validation",
        "parameters/adapter_id: not supported",
    ),
    ("writer", {"json": {"inputs": ["a"], "stream": True}}, 422, "validation", "stream: give one input"),
    ("speak", {"json": {"inputs": ["a", "b"]}}, 422, "validation", "give one input, not 2"),
    (
        "sentiment",
        {"json": {"inputs": "a"}, "headers": {"x-batchline-priority": "soon"}},
        422,
        "validation",
        "x-batchline-priority",
    ),
]
"""Model, request; status, error_type, part of the error."""


async def test_a_wrong_request_is_refused_in_its_form(client: httpx.AsyncClient) -> None:
    for model, how, status, kind, detail in REFUSED:
        reply = await client.post(f"/models/{model}", **how)
        body = reply.json()
        assert (reply.status_code, body["error_type"]) == (status, kind), (model, how, body)
        assert detail in body["error"]
        assert set(body) <= {"error", "error_type", "pointer"}
        assert reply.headers["content-type"] == "application/json"


async def test_other_methods_and_pages_are_as_before(client: httpx.AsyncClient) -> None:
    wrong = await client.put("/models/sentiment")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")
    page = await client.get("/models/sentiment", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_a_failed_input_is_an_error_with_its_job(client: httpx.AsyncClient, queue: JobQueue) -> None:
    refused = {"error": failure("invalid-request", "the text is empty")}
    reply, _ = await answered(
        queue, "sentiment", client.post("/models/sentiment", json={"inputs": ""}), refused
    )
    assert (reply.status_code, reply.json()["error_type"]) == (422, "validation")
    assert "the text is empty" in reply.json()["error"]
    assert reply.json()["job_id"] == reply.headers["x-batchline-job"]
    died = {"error": failure("engine-died", "the engine died")}
    reply, _ = await answered(
        queue, "sentiment", client.post("/models/sentiment", json={"inputs": "a"}), died
    )
    assert (reply.status_code, reply.json()["error_type"]) == (500, "generation")


async def test_a_wait_that_is_over_names_the_job(
    settings: Settings, redis: ArqRedis, queue: JobQueue
) -> None:
    quick = settings.model_copy(update={"max_wait": 0.05})
    async with mounted(quick) as (client, _):
        reply = await client.post("/models/sentiment", json={"inputs": "a"})
        assert (reply.status_code, reply.json()["error_type"]) == (504, "not_done_in_time")
        job_id = reply.json()["job_id"]
        assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "queued"
        await run_one(queue)


async def test_info_and_health(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    info = (await client.get("/models/org/one/info")).json()
    assert (info["model_id"], info["model_pipeline_tag"]) == ("org/one", "text-classification")
    down = await client.get("/models/sentiment/health")
    assert (down.status_code, down.json()["error_type"]) == (503, "unhealthy")
    for path in ("info", "health"):
        missing = await client.get(f"/models/nobody/{path}")
        assert (missing.status_code, missing.json()["error_type"]) == (404, "unknown_model")


async def test_a_model_with_a_worker_is_healthy(settings: Settings, redis: ArqRedis) -> None:
    await Roster(first_shard(redis, settings)).write(heartbeat())
    async with mounted(settings) as (client, _):
        healthy = await client.get("/models/sentiment/health")
        assert (healthy.status_code, healthy.json()) == (200, {"status": "ready"})
        assert (await client.get("/models/look/health")).status_code == 503
