"""text-embeddings-inference: InferenceClient with its address, and plain HTTP."""

from pathlib import Path

import httpx
import pytest
import torch

from tests.clients import models
from tests.clients.process import ClientProcess, ClientRaised
from tests.clients.test_openai import TEXTS, vectors
from tests.worker.engine.pipelines.conftest import plain_pipeline


def address(url: str, model: str) -> str:
    return f"{url}/tei/{model}"


async def test_embed(url: str, clients: ClientProcess, folder: Path) -> None:
    """The client posts to the address itself, which is the call for the model's task."""
    expected = vectors(folder, TEXTS)
    how = {"url": address(url, "org/embedder"), "texts": TEXTS}
    found = await clients.call("tei:embed", **how)
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=0)
    [alone] = await clients.call("tei:embed", **how | {"texts": TEXTS[1]})
    torch.testing.assert_close(torch.tensor(alone), expected[1], atol=1e-5, rtol=0)
    whole = torch.tensor(await clients.call("tei:embed", **how, normalize=False))
    assert not torch.allclose(whole.norm(dim=-1), torch.ones(len(TEXTS)))
    torch.testing.assert_close(torch.nn.functional.normalize(whole, dim=-1), expected, atol=1e-5, rtol=0)
    short = torch.tensor(await clients.call("tei:embed", **how, dimensions=8))
    torch.testing.assert_close(short, vectors(folder, TEXTS, 8), atol=1e-5, rtol=0)


async def test_similarity(url: str, clients: ClientProcess, folder: Path) -> None:
    source, *others = vectors(folder, TEXTS)
    found = await clients.call(
        "tei:similarity", url=address(url, "org/embedder"), sentence=TEXTS[0], others=TEXTS[1:]
    )
    assert found == pytest.approx([(source @ other).item() for other in others], abs=1e-5)


async def test_predict(url: str, folder: Path) -> None:
    """By plain HTTP: InferenceClient's own form of the answer is that of /models/{name}."""
    pipeline = plain_pipeline(models.source(folder, "moods"), "text-classification")
    async with httpx.AsyncClient(base_url=address(url, "moods"), timeout=60) as client:
        several = (await client.post("/predict", json={"inputs": [[text] for text in TEXTS]})).json()
        single = (await client.post("/predict", json={"inputs": TEXTS[0]})).json()
        raw = (await client.post("/predict", json={"inputs": TEXTS[0], "raw_scores": True})).json()
    for text, found in zip(TEXTS, several, strict=True):
        expected = pipeline(text, top_k=None)
        assert [each["label"] for each in found] == [each["label"] for each in expected]
        scores = [each["score"] for each in expected]
        assert [each["score"] for each in found] == pytest.approx(scores, abs=1e-5)
    assert [each["label"] for each in single] == [each["label"] for each in several[0]]
    expected = pipeline(TEXTS[0], top_k=None, function_to_apply="none")
    assert [each["score"] for each in raw] == pytest.approx([each["score"] for each in expected], abs=1e-5)


async def test_rerank_is_that_of_the_other_interface(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        body = {"query": TEXTS[0], "texts": TEXTS, "return_text": True}
        found = (await client.post("/tei/org/ranker/rerank", json=body)).json()
        root = (await client.post("/rerank", json=body)).json()
        other = (await client.post("/v2/rerank", json={"query": TEXTS[0], "documents": TEXTS})).json()
        raw = (await client.post("/rerank", json=body | {"raw_scores": True})).json()
    assert [each["index"] for each in found] == [each["index"] for each in root]
    assert [each["index"] for each in found] == [each["index"] for each in other["results"]]
    for here, there, unscaled in zip(found, other["results"], raw, strict=True):
        assert here["score"] == pytest.approx(there["relevance_score"], abs=1e-5)
        assert here["text"] == TEXTS[here["index"]]
        assert torch.tensor(unscaled["score"]).sigmoid().item() == pytest.approx(here["score"], abs=1e-5)


async def test_health_and_info(url: str, clients: ClientProcess) -> None:
    found = await clients.call("tei:info", url=address(url, "org/embedder"))
    assert found["healthy"]
    assert (found["model_id"], found["model_dtype"]) == ("org/embedder", "float32")
    assert found["model_type"] == {"embedding": {"pooling": "mean"}}
    assert found["max_client_batch_size"] == 2_048


async def test_an_error_has_its_sentence(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="this call needs feature-extraction") as raised:
        await clients.call("tei:embed", url=f"{address(url, 'moods')}/embed", texts=["a"])
    assert raised.value.status == 424
