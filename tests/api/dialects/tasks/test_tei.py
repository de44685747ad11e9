"""TEI's calls: which model a path names, what becomes of a request, of outputs, and of errors."""

import base64
import math
from array import array
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.dialects.tasks.calls import Calls
from tests.ledger import first_shard, heartbeat

VECTORS = [[0.6, 0.8], [1.0, 0.0]]
RANK = {"query": "q", "texts": ["a", "b"]}
SCORES = [{"score": 0.25}, {"score": 0.75}]
LABELS = [{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}]
ERROR = {"error": {"type": "urn:batchline:problem:engine-died", "title": "t", "detail": "it died"}}


def encoded(vector: list[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/embed", "org/vectors"),
        ("/tei/org/vectors/embed", "org/vectors"),
        ("/tei/org%2Fvectors/embed", "org/vectors"),
        ("/tei/vectors/embed", "org/vectors"),
        ("/tei/org/vectors", "org/vectors"),
        ("/tei/others/embed", "others"),
    ],
)
async def test_a_path_names_the_model_and_the_root_is_the_first_with_the_task(
    calls: Calls, path: str, model: str
) -> None:
    answer, job = await calls.post(path, {"inputs": ["a", "b"]}, model, VECTORS)
    assert (answer.status_code, answer.json()) == (200, VECTORS)
    assert answer.headers["x-batchline-job"]
    assert job.inputs == ["a", "b"]
    pooling = "mean" if model == "others" else "auto"
    assert job.parameters == {"normalize": True, "encoding": "float", "pooling": pooling}


async def test_one_text_is_a_list_with_one_vector(calls: Calls) -> None:
    body = {"inputs": "a", "normalize": False, "truncate": True, "truncation_direction": "Right", "x": 1}
    answer, job = await calls.post("/tei/vectors", body, "org/vectors", VECTORS[:1])
    assert answer.json() == VECTORS[:1]
    assert (job.inputs, job.parameters["normalize"]) == (["a"], False)


@pytest.mark.parametrize("path", ["/rerank", "/tei/ranker/rerank", "/tei/ranker", "/tei/ranker/"])
async def test_texts_are_ranked(calls: Calls, path: str) -> None:
    answer, job = await calls.post(path, RANK, "ranker", SCORES)
    assert answer.json() == [{"index": 1, "score": 0.75}, {"index": 0, "score": 0.25}]
    assert job.inputs == [{"query": "q", "document": "a"}, {"query": "q", "document": "b"}]
    assert job.parameters == {"function_to_apply": "sigmoid", "return_documents": False}


async def test_ranked_texts_with_raw_scores_and_themselves(calls: Calls) -> None:
    outputs = [{"score": -2.0, "document": "a"}, {"score": 3.0, "document": "b"}]
    answer, job = await calls.post(
        "/rerank", RANK | {"raw_scores": True, "return_text": True}, "ranker", outputs
    )
    assert answer.json() == [
        {"index": 1, "score": 3.0, "text": "b"},
        {"index": 0, "score": -2.0, "text": "a"},
    ]
    assert job.parameters == {"function_to_apply": "none", "return_documents": True}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("a", "a"),
        (["a"], "a"),
        (["a", "b"], {"text": "a", "text_pair": "b"}),
    ],
)
async def test_one_text_or_pair_has_one_prediction(calls: Calls, inputs: Any, expected: Any) -> None:
    answer, job = await calls.post("/predict", {"inputs": inputs}, "labels", [LABELS])
    assert answer.json() == LABELS
    assert (job.inputs, job.parameters) == ([expected], {"top_k": None})


async def test_lists_are_several_predictions(calls: Calls) -> None:
    body = {"inputs": [["a"], ["b", "c"]], "raw_scores": True}
    answer, job = await calls.post("/tei/labels/predict", body, "labels", [LABELS, LABELS[:1]])
    assert answer.json() == [LABELS, LABELS[:1]]
    assert job.inputs == ["a", {"text": "b", "text_pair": "c"}]
    assert job.parameters == {"top_k": None, "function_to_apply": "none"}


async def test_similarity_is_the_cosine_of_vectors(calls: Calls) -> None:
    body = {"inputs": {"source_sentence": "s", "sentences": ["a", "b"]}, "parameters": {"truncate": True}}
    outputs = [encoded([1.0, 0.0]), *map(encoded, VECTORS)]
    answer, job = await calls.post("/tei/vectors/similarity", body, "org/vectors", outputs)
    assert answer.json() == [pytest.approx(0.6), 1.0]
    assert job.inputs == ["s", "a", "b"]
    assert job.parameters == {"normalize": True, "encoding": "base64", "pooling": "auto"}


@pytest.mark.parametrize("path", ["/tei/similar/similarity", "/tei/similar"])
async def test_similarity_by_a_model_for_it(calls: Calls, path: str) -> None:
    inputs = {"source_sentence": "s", "sentences": ["a", "b"]}
    answer, job = await calls.post(path, {"inputs": inputs}, "similar", [[0.5, 0.25]])
    assert answer.json() == [0.5, 0.25]
    assert (job.inputs, job.parameters) == ([inputs], {})


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/embed", {}, 422, "inputs is missing"),
        ("/embed", {"inputs": []}, 422, "inputs: give a text"),
        ("/embed", {"inputs": ["a", ""]}, 422, "inputs/1: give a text of 1 or more characters"),
        ("/embed", {"inputs": [[1, 2]]}, 422, "inputs/0: give a text of 1 or more characters, not a list"),
        ("/embed", {"inputs": "a", "dimensions": 8}, 422, "parameters/dimensions: a vector of model"),
        ("/embed", {"inputs": "a", "prompt_name": "query"}, 422, "prompt_name: not supported"),
        ("/embed", {"inputs": "a", "truncation_direction": "left"}, 422, "truncation_direction: only right"),
        ("/embed", {"inputs": ["a"] * 4}, 413, "the batch size 4 is more than this model's limit of 3"),
        ("/predict", {"inputs": ["a", "b", "c"]}, 422, "inputs: a list of texts is one text or a pair"),
        ("/predict", {"inputs": [["a"], "b"]}, 422, "inputs: a list of texts is one text or a pair"),
        ("/predict", {"inputs": [["a", "b", "c"]]}, 422, "inputs/0: give "),
        ("/rerank", {"query": "q", "documents": ["a"]}, 422, "texts is missing"),
        (
            "/similarity",
            {"inputs": {"source_sentence": "a", "sentences": []}},
            422,
            "inputs/sentences: give a list",
        ),
        ("/tei/ranker/embed", {"inputs": "a"}, 424, "model 'ranker' has the task text-ranking"),
        ("/tei/labels/rerank", RANK, 424, "model 'labels' has the task text-classification"),
        ("/tei/nix/embed", {"inputs": "a"}, 404, "no model named 'nix' is served"),
        ("/tei/nix", {"inputs": "a"}, 404, "no model named 'nix' is served"),
    ],
)
async def test_a_request_that_cannot_be_run(
    calls: Calls, path: str, body: Any, status: int, error: str
) -> None:
    answer = await calls.client.post(path, json=body)
    assert (answer.status_code, answer.json()["error"][: len(error)]) == (status, error)
    assert answer.json()["error_type"] == ("Backend" if status == 424 else "Validation")


async def test_a_full_queue_is_overload(settings: Settings) -> None:
    async with mounted(settings.model_copy(update={"max_queued_jobs": 1, "max_wait": 0.01})) as (client, _):
        late = await client.post("/embed", json={"inputs": "a"})
        full = await client.post("/embed", json={"inputs": "a"})
    assert (late.status_code, late.json()["error_type"]) == (504, "Backend")
    assert (full.status_code, full.json()["error_type"]) == (429, "Overloaded")
    assert full.headers["retry-after"]


async def test_a_failed_input_is_an_error_of_the_backend(calls: Calls) -> None:
    answer, _ = await calls.post("/embed", {"inputs": ["a", "b"]}, "org/vectors", [VECTORS[0], ERROR])
    assert (answer.status_code, answer.json()["error"]) == (424, "input 1: it died")
    assert answer.json()["error_type"] == "Backend"
    assert answer.json()["job_id"] == answer.headers["x-batchline-job"]


@pytest.mark.parametrize("path", ["/embed", "/similarity"])
async def test_vectors_for_each_token_are_refused(calls: Calls, path: str) -> None:
    body: Any = {"inputs": "a"}
    outputs: list[Any] = [[VECTORS]]
    if path == "/similarity":
        body = {"inputs": {"source_sentence": "s", "sentences": ["a"]}}
        outputs = [[list(map(encoded, VECTORS))]] * 2
    answer, _ = await calls.post(path, body, "org/vectors", outputs)
    assert answer.status_code == 424
    assert "its defaults in models.toml need another pooling" in answer.json()["error"]


async def test_health_is_of_the_model_and_info_says_what_it_is(calls: Calls, redis: ArqRedis) -> None:
    down = await calls.client.get("/tei/vectors/health")
    assert (down.status_code, down.json()["error_type"]) == (503, "Unhealthy")
    beat = heartbeat(model="org/vectors", dtype="bfloat16", budget=512, defaults={"pooling": "cls"})
    await Roster(first_shard(redis)).write(beat)
    calls.services.roster._read_at = -math.inf  # as if a second had passed
    up = await calls.client.get("/tei/vectors/health")
    assert (up.status_code, up.content) == (200, b"")
    assert (await calls.client.get("/tei/others/health")).status_code == 503
    info = (await calls.client.get("/tei/vectors/info")).json()
    assert (info["model_id"], info["model_dtype"]) == ("org/vectors", "bfloat16")
    assert info["model_type"] == {"embedding": {"pooling": "cls"}}
    assert (info["max_client_batch_size"], info["max_batch_tokens"]) == (3, 512)
    assert (await calls.client.get("/info")).json()["model_id"] == "ranker", "the first"
    assert (await calls.client.get("/tei/labels/info")).json()["model_type"].keys() == {"classifier"}
