"""Hugging Face's client on a real engine. `tests/api/dialects/huggingface/` has every task."""

from pathlib import Path

import pytest
import torch

from tests.clients import models
from tests.clients.process import ClientProcess, ClientRaised
from tests.clients.test_openai import CHAT, TEXTS, vectors, written
from tests.worker.engine.pipelines.conftest import plain_pipeline


async def test_labels(url: str, clients: ClientProcess, folder: Path) -> None:
    found = await clients.call("huggingface:classify", url=url, model="moods", text=TEXTS[0])
    plain = plain_pipeline(models.source(folder, "moods"), "text-classification")
    expected = plain(TEXTS[0], top_k=None)
    assert [label for label, _ in found] == [each["label"] for each in expected]
    assert [score for _, score in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)


async def test_vectors(url: str, clients: ClientProcess, folder: Path) -> None:
    how = {"url": url, "model": "org/embedder", "texts": TEXTS}
    for call in ("embed", "embed_with_langchain"):
        found = torch.tensor(await clients.call(f"huggingface:{call}", **how))
        torch.testing.assert_close(found, vectors(folder, TEXTS), atol=1e-5, rtol=0)
    short = torch.tensor(await clients.call("huggingface:embed", dimensions=8, **how))
    torch.testing.assert_close(short, vectors(folder, TEXTS, 8), atol=1e-5, rtol=0)


async def test_a_streamed_text_is_the_whole_one(url: str, clients: ClientProcess, folder: Path) -> None:
    how = {"url": url, "model": "writer", "text": TEXTS[0], "max_new_tokens": 40, "do_sample": False}
    whole = await clients.call("huggingface:generate", **how)
    assert whole == written(folder, TEXTS[0], 40)
    pieces = await clients.call("huggingface:stream", **how)
    assert "".join(pieces) == whole


async def test_chats(url: str, clients: ClientProcess, folder: Path) -> None:
    how = {"url": url, "model": "writer", "messages": CHAT, "max_tokens": 12, "temperature": 0}
    content, reason = await clients.call("huggingface:chat", **how)
    assert (content, reason) == (written(folder, CHAT, 12), "length")
    assert "".join(await clients.call("huggingface:stream_chat", **how)) == content


async def test_an_error_has_its_sentence(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="parameters/watermark: only false is supported"):
        await clients.call("huggingface:generate", url=url, model="writer", text="a", watermark=True)
    with pytest.raises(ClientRaised) as raised:
        await clients.call("huggingface:classify", url=url, model="gone", text="a")
    assert raised.value.status == 404
