"""LangChain's models for OpenAI's interface."""

from typing import Any

from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def embed(url: str, model: str, texts: list[str], **options: Any) -> list[list[float]]:
    embeddings = OpenAIEmbeddings(base_url=f"{url}/v1", api_key="none", model=model, **options)
    found: list[list[float]] = embeddings.embed_documents(texts)
    return found


def embed_query(url: str, model: str, text: str) -> list[float]:
    embeddings = OpenAIEmbeddings(
        base_url=f"{url}/v1", api_key="none", model=model, check_embedding_ctx_length=False
    )
    found: list[float] = embeddings.embed_query(text)
    return found


def chat(url: str, model: str, text: str, **options: Any) -> dict[str, Any]:
    answer = ChatOpenAI(base_url=f"{url}/v1", api_key="none", model=model, **options).invoke(text)
    return {"text": answer.content, "usage": answer.usage_metadata}


def stream_chat(url: str, model: str, text: str, **options: Any) -> list[str]:
    chat = ChatOpenAI(base_url=f"{url}/v1", api_key="none", model=model, **options)
    return [chunk.content for chunk in chat.stream(text)]
