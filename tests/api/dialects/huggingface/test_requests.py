"""What clients send to `POST /models/{name}` becomes a job. No model runs here."""

import base64
from typing import Any

import httpx
import pytest

from tests.api.dialects.huggingface.one_job import answered
from tests.ledger import JobQueue
from tests.worker.engine.pipelines.pictures import PICTURES

PICTURE = PICTURES[0]
BASE64 = base64.b64encode(PICTURE).decode()

RAW = {"content": PICTURE}
TYPED = {"content": PICTURE, "headers": {"content-type": "image/png"}}
UNTYPED_JSON = {"content": b' {"inputs": "' + BASE64.encode() + b'"}'}


@pytest.mark.parametrize(
    ("model", "how", "inputs", "parameters"),
    [
        ("sentiment", {"json": {"inputs": "a"}}, ["a"], {"top_k": None}),
        ("sentiment", {"content": b'{"inputs": "a"}'}, ["a"], {"top_k": None}),
        ("one", {"json": {"inputs": "a"}}, ["a"], {"top_k": 2}),
        ("one/", {"json": {"inputs": "a"}}, ["a"], {"top_k": 2}),
        ("org/one", {"json": {"inputs": "a", "parameters": {"top_k": 5}}}, ["a"], {"top_k": 5}),
        ("org%2Fone", {"json": {"inputs": "a", "parameters": {"top_k": None}}}, ["a"], {"top_k": 2}),
        ("sentiment", {"json": {"inputs": ["a", "b"], "parameters": None}}, ["a", "b"], {"top_k": None}),
        ("sentiment", {"json": {"inputs": "a", "options": {"wait_for_model": True}}}, ["a"], {"top_k": None}),
        ("look", RAW, [PICTURE], {}),
        ("look", TYPED, [PICTURE], {}),
        ("look", UNTYPED_JSON, [PICTURE], {}),
        ("look", {"json": {"inputs": BASE64}}, [PICTURE], {}),
        ("look", {"json": {"inputs": f"data:image/png;base64,{BASE64}"}}, [PICTURE], {}),
        ("caption", RAW, [{"image": PICTURE}], {}),
        ("caption", {"json": {"inputs": BASE64}}, [{"image": PICTURE}], {}),
        (
            "ask",
            {"json": {"inputs": {"image": BASE64, "question": "what"}}},
            [{"image": PICTURE, "question": "what"}],
            {},
        ),
        (
            "ask",
            {"json": {"image": BASE64, "question": "what", "parameters": {"top_k": 1}}},
            [{"image": PICTURE, "question": "what"}],
            {"top_k": 1},
        ),
        (
            "vectors",
            {"json": {"inputs": "a", "normalize": True, "encoding_format": "float", "truncate": True}},
            ["a"],
            {"normalize": True, "encoding": "float"},
        ),
        (
            "vectors",
            {"json": {"inputs": "a", "normalize": True, "parameters": {"pooling": "mean"}}},
            ["a"],
            {"normalize": True, "pooling": "mean"},
        ),
        (
            "summary",
            {"json": {"inputs": "a", "parameters": {"generate_parameters": {"num_beams": 2}}}},
            ["a"],
            {"num_beams": 2},
        ),
        (
            "writer",
            {"json": {"inputs": "a", "stream": False, "parameters": {"stop": [], "details": False}}},
            ["a"],
            {"return_full_text": False, "details": False},
        ),
        (
            "writer",
            {"json": {"inputs": "a", "parameters": {"top_p": 0.5, "return_full_text": True}}},
            ["a"],
            {"return_full_text": True, "do_sample": True, "top_p": 0.5},
        ),
    ],
)
async def test_a_request_becomes_a_job(
    client: httpx.AsyncClient,
    queue: JobQueue,
    model: str,
    how: dict[str, Any],
    inputs: list[Any],
    parameters: dict[str, Any],
) -> None:
    name = "org/one" if "one" in model else model
    result = None if name != "vectors" else {"output": [0.5]}
    reply, given = await answered(queue, name, client.post(f"/models/{model}", **how), result)
    assert reply.status_code == 200, reply.text
    assert (given.inputs, given.parameters) == (inputs, parameters)
    job = (await client.get("/v1/jobs")).json()["jobs"][0]
    assert (job["id"], job["model"]) == (reply.headers["x-batchline-job"], name)
