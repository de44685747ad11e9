"""POST /v1/embeddings: what becomes a job, what is answered, and what is refused."""

import gc
from typing import Any

import httpx
import pytest

from jobs.ledger import views
from jobs.ledger.wire import decode_payload
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.dialects.answering import asked
from tests.ledger import JobQueue

PATH = "/v1/embeddings"
VECTOR = {"output": [0.5, -0.25]}


async def test_a_text_gets_its_vector(client: httpx.AsyncClient, queue: JobQueue) -> None:
    body = {"model": "vectors", "input": "A fine film."}
    answer, claimed = await asked(client, queue, PATH, body, [VECTOR], "vectors")
    found = answer.json()
    assert found["object"] == "list"
    assert found["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
    assert found["model"] == "vectors"
    assert answer.headers["x-batchline-job"] == claimed.id
    assert views.inputs_of(claimed.payload).inputs == ["A fine film."]
    assert decode_payload(claimed.payload).k["parameters"] == {"encoding": "float", "pooling": "auto"}


async def test_a_list_of_2048_texts_is_one_job(client: httpx.AsyncClient, queue: JobQueue) -> None:
    texts = [f"text {i}" for i in range(2_048)]
    results = [{"output": f"AAAA{i}"} for i in range(2_048)]
    body = {"model": "vectors", "input": texts, "encoding_format": "base64"}
    answer, claimed = await asked(client, queue, PATH, body, results, "vectors")
    assert views.inputs_of(claimed.payload).inputs == texts
    data = answer.json()["data"]
    assert [(each["index"], each["embedding"]) for each in data] == [(i, f"AAAA{i}") for i in range(2_048)]
    more = await client.post(PATH, json=body | {"input": [*texts, "one more"]})
    assert more.status_code == 400
    assert "2049 inputs exceed this model's limit of 2048" in more.json()["error"]["message"]


async def test_results_that_are_too_large_for_a_message_are_the_same(
    settings: Settings, queue: JobQueue
) -> None:
    vector = [i / 7 for i in range(20_000)]
    body = {"model": "vectors", "input": ["a", "b"]}
    async with mounted(settings) as (client, services):
        answer, _ = await asked(client, queue, PATH, body, [VECTOR, {"output": vector}], "vectors")
        assert [each["embedding"] for each in answer.json()["data"]] == [VECTOR["output"], vector]
        gc.collect()
        assert services.budget.held == 0, "the memory of the answer is free again"


@pytest.mark.parametrize(
    ("body", "parameters", "model"),
    [
        ({"model": "org/pooled"}, {"encoding": "float", "pooling": "cls"}, "org/pooled"),
        ({"model": "pooled"}, {"encoding": "float", "pooling": "cls"}, "org/pooled"),
        ({"user": "somebody"}, {"encoding": "float", "pooling": "auto"}, "vectors"),
        (
            {"model": "vectors", "dimensions": 8},
            {"encoding": "float", "pooling": "auto", "dimensions": 8, "normalize": True},
            "vectors",
        ),
        ({"encoding_format": None, "dimensions": None}, {"encoding": "float", "pooling": "auto"}, "vectors"),
    ],
)
async def test_settings_become_parameters(
    client: httpx.AsyncClient,
    queue: JobQueue,
    body: dict[str, Any],
    parameters: dict[str, Any],
    model: str,
) -> None:
    answer, claimed = await asked(client, queue, PATH, {"input": "a", **body}, [VECTOR], model)
    assert answer.json()["model"] == model
    assert decode_payload(claimed.payload).k["parameters"] == parameters


async def test_a_vector_for_each_token_is_no_embedding(client: httpx.AsyncClient, queue: JobQueue) -> None:
    for output in ([[[0.5], [0.25]]], [["AAA=", "AAA="]]):
        answer, _ = await asked(client, queue, PATH, {"input": "a"}, [{"output": output}], "vectors")
        assert answer.status_code == 400
        assert "need another pooling, such as mean" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "param", "message"),
    [
        ({"input": [1, 2]}, 400, "input", "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, 400, "input", "check_embedding_ctx_length=False"),
        ({"input": {"text": "a"}}, 400, "input", "give a text or a list of texts"),
        ({"input": ["a", None]}, 400, "input", "give a text or a list of texts"),
        ({"input": []}, 400, "input", "input: give at least one input"),
        ({"input": ["a", "b" * 101]}, 400, "input.1", "input/1: 101 characters exceed"),
        ({}, 400, None, "input is missing"),
        (
            {"input": "a", "dimensions": 5},
            400,
            "dimensions",
            "dimensions: a vector of model vectors can have 4 or 8",
        ),
        ({"input": "a", "model": "pooled", "dimensions": 4}, 400, "dimensions", "cannot be shortened"),
        ({"input": "a", "dimensions": 0}, 400, "dimensions", "1 or more"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format", "float, or null, not 'hex'"),
        ({"input": "a", "color": "red"}, 400, None, "color is unknown"),
        ({"input": "a", "model": "gone"}, 404, "model", "no model named 'gone' is served"),
        ({"input": "a", "model": "mood"}, 400, "model", "this call needs feature-extraction"),
        ([1], 400, None, "the body"),
    ],
)
async def test_what_is_refused(
    client: httpx.AsyncClient, body: Any, status: int, param: str | None, message: str
) -> None:
    answer = await client.post(PATH, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param), error
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"
    wrong = "wrong_task" if "this call needs" in message else "invalid_request"
    assert error["code"] == ("model_not_found" if status == 404 else wrong)
