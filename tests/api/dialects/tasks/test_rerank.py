"""Cohere's and Jina's rerank calls: what becomes of a request, of outputs, and of errors."""

from typing import Any

import pytest

from jobs.ledger.views import JobInputs
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.dialects.tasks.calls import Calls

BODY = {"model": "ranker", "query": "the bridge", "documents": ["a", "b", "c"]}
SCORES = [{"score": 0.25}, {"score": 0.75}, {"score": 0.25}]


def documents_of(job: JobInputs) -> list[str]:
    inputs: Any = job.inputs
    return [pair["document"] for pair in inputs]


@pytest.mark.parametrize("version", ["1", "2"])
async def test_documents_come_best_first_and_equal_ones_in_their_order(calls: Calls, version: str) -> None:
    answer, job = await calls.post(f"/v{version}/rerank", BODY, "ranker", SCORES)
    found = answer.json()
    assert answer.status_code == 200
    assert found["results"] == [
        {"index": 1, "relevance_score": 0.75},
        {"index": 0, "relevance_score": 0.25},
        {"index": 2, "relevance_score": 0.25},
    ]
    assert found["meta"]["api_version"] == {"version": version}
    assert found["id"] == answer.headers["x-batchline-job"]
    assert (found["model"], found["usage"]["total_tokens"]) == ("ranker", 0), "this worker counts none"
    assert job.inputs == [{"query": "the bridge", "document": each} for each in "abc"]
    assert job.parameters == {"function_to_apply": "sigmoid", "return_documents": False}


async def test_one_request_is_one_job(calls: Calls) -> None:
    await calls.post("/v2/rerank", BODY, "ranker", SCORES)
    [job] = (await calls.client.get("/v1/jobs")).json()["jobs"]
    assert job["counts"]["total"] == 3


async def test_the_best_with_their_texts(calls: Calls) -> None:
    """Without a model: the first that ranks."""
    body = {**BODY, "top_n": 1, "return_documents": True, "raw_scores": True}
    del body["model"]
    outputs = [
        {"score": score, "document": text} for score, text in zip((-3.0, 2.5, 1.0), "abc", strict=True)
    ]
    answer, job = await calls.post("/v1/rerank", body, "ranker", outputs)
    assert answer.json()["results"] == [{"index": 1, "relevance_score": 2.5, "document": {"text": "b"}}]
    assert job.parameters == {"function_to_apply": "none", "return_documents": True}


async def test_documents_may_be_objects(calls: Calls) -> None:
    documents: list[Any] = ["a", {"text": "b", "id": 7}, {"text": "c"}]
    _, job = await calls.post("/v1/rerank", BODY | {"documents": documents}, "ranker", SCORES)
    assert documents_of(job) == ["a", "b", "c"]
    titled: list[Any] = [{"title": "A", "year": 1911, "body": None}, {"body": "b"}, "c"]
    body = BODY | {"documents": titled, "rank_fields": ["title", "body", "year"]}
    _, job = await calls.post("/v1/rerank", body, "ranker", SCORES)
    assert documents_of(job) == ["title: A\nyear: 1911", "body: b", "c"]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"query": None}, 422, "query: give a text of 1 or more characters, not null"),
        ({"query": ""}, 422, "query: give a text of 1 or more characters"),
        ({"documents": []}, 422, "documents: give a list of 1 or more entries"),
        ({"documents": ["a", 5]}, 422, "documents/1: give a text or an object, not a whole number"),
        ({"documents": [{"title": "x"}]}, 422, "documents/0: give a text, or an object with a member text"),
        ({"documents": [{"text": 5}]}, 422, "documents/0/text: give a text"),
        (
            {"documents": [{"x": 1}], "rank_fields": ["title", "body"]},
            422,
            "documents/0: give a text, or an object with one of the members title, body",
        ),
        ({"top_n": 0}, 422, "top_n: give a whole number, 1 or more, or null"),
        ({"relevant_spans": {"enabled": True}}, 422, "relevant_spans: not supported; leave it out"),
        (
            {"model": "nix"},
            404,
            "no model named 'nix' is served; known: ranker, labels, org/vectors, others, writer, similar",
        ),
        (
            {"model": "labels"},
            422,
            "model 'labels' has the task text-classification; this call needs text-ranking; there is ranker",
        ),
        (
            {"documents": ["a"] * 101},
            413,
            "the batch size 101 is more than this model's limit of 100 (max_inputs in models.toml)",
        ),
        (
            {"query": "q" * 100_000, "documents": ["a"] * 100},
            413,
            "the 100 inputs of this request's job have 10,000,100 characters, with what is in several of them"
            " counted for each; the limit is 8,388,608 (BATCHLINE_MAX_REQUEST_BYTES)",
        ),
    ],
)
async def test_a_request_that_cannot_be_run(
    calls: Calls, change: dict[str, Any], status: int, message: str
) -> None:
    answer = await calls.client.post("/v2/rerank", json=BODY | change)
    assert (answer.status_code, answer.json()["message"]) == (status, message)
    assert answer.json()["detail"] == message
    assert calls.services.budget.held == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 5_000, b'{"query": "\\ud800"}'])
async def test_a_body_that_is_no_request(calls: Calls, body: bytes) -> None:
    answer = await calls.client.post("/v1/rerank", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["message"]


async def test_a_failed_document_is_an_error_with_the_job(calls: Calls) -> None:
    error = {"type": "urn:batchline:problem:engine-died", "title": "t", "detail": "no"}
    outputs = [SCORES[0], {"error": error}, SCORES[0]]
    answer, _ = await calls.post("/v2/rerank", BODY, "ranker", outputs)
    assert (answer.status_code, answer.json()["message"]) == (500, "input 1: no")
    assert answer.json()["job_id"] == answer.headers["x-batchline-job"]


async def test_a_score_that_is_no_number(calls: Calls) -> None:
    answer, _ = await calls.post("/v2/rerank", BODY, "ranker", [SCORES[0], SCORES[0], {"score": None}])
    assert (answer.status_code, answer.json()["message"]) == (500, "the score of document 2 is not a number")


async def test_an_answer_that_is_too_late_names_the_job(settings: Settings) -> None:
    async with mounted(settings.model_copy(update={"max_wait": 0.01})) as (client, _):
        answer = await client.post("/v2/rerank", json=BODY)
        job = (await client.get(f"/v1/jobs/{answer.json()['job_id']}")).json()
    assert (answer.status_code, job["status"]) == (504, "queued")


async def test_a_cancelled_job_is_not_a_conflict(calls: Calls) -> None:
    """Cohere's client would send it again after a 409."""
    sent = await calls.sent("/v2/rerank", BODY)
    [job] = (await calls.client.get("/v1/jobs")).json()["jobs"]
    await calls.client.delete(job["urls"]["self"])
    assert (await sent).status_code == 499


async def test_memory_is_reserved_for_the_repeated_query(settings: Settings) -> None:
    """A small body may become a job of megabytes."""
    body = BODY | {"query": "q" * 20_000, "documents": ["a"] * 100}
    async with mounted(settings.model_copy(update={"memory_budget": 2**20})) as (client, services):
        with services.budget.hold(1):
            answer = await client.post("/v2/rerank", json=body)
            assert answer.status_code == 503
            assert services.budget.held == 1
