"""LangChain's OpenAIEmbeddings and ChatOpenAI."""

import pytest
import torch

from tests.clients.process import ClientProcess, ClientRaised
from tests.clients.test_openai import TEXTS


async def test_embeddings_equal_those_of_the_client(url: str, clients: ClientProcess) -> None:
    how = {"url": url, "model": "org/embedder"}
    found = await clients.call("langchain:embed", texts=TEXTS, check_embedding_ctx_length=False, **how)
    query = await clients.call("langchain:embed_query", text=TEXTS[1], **how)
    plain = await clients.call("openai_sdk:embed", input=TEXTS, **how)
    expected = torch.tensor([each["embedding"] for each in plain["data"]])
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(query), expected[1], atol=1e-5, rtol=0)


async def test_chats(url: str, clients: ClientProcess) -> None:
    how = {"url": url, "model": "writer", "text": TEXTS[0], "max_tokens": 12, "temperature": 0}
    whole = await clients.call("langchain:chat", **how)
    assert whole["usage"]["output_tokens"] == 12
    parts = await clients.call("langchain:stream_chat", **how)
    assert "".join(parts) == whole["text"]


async def test_an_error_has_its_sentence(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="not for embeddings; there is org/embedder"):
        await clients.call(
            "langchain:embed", url=url, model="writer", texts=["a"], check_embedding_ctx_length=False
        )
