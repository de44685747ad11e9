"""Clients of rerankers, unchanged: Cohere's of both versions, and litellm as if to Cohere, Jina and vLLM."""

from pathlib import Path

import pytest
import torch
import transformers

from tests.clients import models
from tests.clients.process import ClientProcess, ClientRaised

QUERY = "was the bridge closed ?"
DOCUMENTS = [
    "the bridge was closed in the evening .",
    "late",
    "anna wrote a letter",
    "we met in paris . good ?",
]
ASKED = {"model": "org/ranker", "query": QUERY, "documents": DOCUMENTS}


@pytest.fixture(scope="module")
def scores(url: str, folder: Path) -> list[float]:
    """The score of each document, by the model run directly on one pair after another."""
    source = models.source(folder, "org/ranker")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(source).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    with torch.inference_mode():
        return [
            model(**tokenizer(QUERY, text, return_tensors="pt")).logits.sigmoid().item() for text in DOCUMENTS
        ]


def best_first(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda index: -scores[index])


async def test_coheres_second_version(url: str, clients: ClientProcess, scores: list[float]) -> None:
    found = await clients.call("cohere_sdk:rerank", url=url, **ASKED)
    assert [index for index, _ in found["results"]] == best_first(scores)
    for index, score in found["results"]:
        assert score == pytest.approx(scores[index], abs=1e-5)
    assert found["tokens"] > 0
    best = await clients.call("cohere_sdk:rerank", url=url, **ASKED, top_n=2)
    assert best["results"] == [
        [index, pytest.approx(scores[index], abs=1e-5)] for index in best_first(scores)[:2]
    ]


async def test_coheres_first_version_with_objects(
    url: str, clients: ClientProcess, scores: list[float]
) -> None:
    documents = [{"text": text} for text in DOCUMENTS]
    asked = ASKED | {"documents": documents, "return_documents": True}
    found = await clients.call("cohere_sdk:rerank_v1", url=url, **asked)
    assert [(index, text) for index, _, text in found] == [(i, DOCUMENTS[i]) for i in best_first(scores)]
    plain = await clients.call("cohere_sdk:rerank_v1", url=url, **ASKED)
    assert {text for _, _, text in plain} == {None}


async def test_one_by_one_equals_together(url: str, clients: ClientProcess, scores: list[float]) -> None:
    for text, score in zip(DOCUMENTS, scores, strict=True):
        found = await clients.call("cohere_sdk:rerank", url=url, **ASKED | {"documents": [text]})
        assert found["results"] == [[0, pytest.approx(score, abs=1e-5)]]


@pytest.mark.parametrize(
    ("provider", "path"),
    [("cohere", "/v2/rerank"), ("jina_ai", "/v1/rerank"), ("hosted_vllm", "/v2/rerank")],
)
async def test_litellm(
    url: str, clients: ClientProcess, scores: list[float], provider: str, path: str
) -> None:
    found = await clients.call("lite:rerank", url=url + path, provider=provider, **ASKED)
    assert [index for index, _ in found] == best_first(scores)


async def test_errors_have_their_sentence(url: str, clients: ClientProcess) -> None:
    for change, kind, status, sentence in (
        ({"model": "gone"}, "NotFoundError", 404, "no model named 'gone' is served"),
        ({"model": "moods"}, "UnprocessableEntityError", 422, "this call needs text-ranking"),
        ({"top_n": 0}, "UnprocessableEntityError", 422, "top_n: give a whole number, 1 or more"),
    ):
        with pytest.raises(ClientRaised) as raised:
            await clients.call("cohere_sdk:rerank", url=url, **ASKED | change)
        assert (raised.value.kind, raised.value.status) == (kind, status)
        assert sentence in raised.value.body["message"]
