"""OpenAI's own client: synchronous, asynchronous and streaming."""

import asyncio
from pathlib import Path
from typing import Any

import openai


def _client(url: str, **options: Any) -> Any:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", **options)


def models(url: str) -> list[str]:
    return [model.id for model in _client(url).models.list()]


def model(url: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).models.retrieve(name).model_dump()
    return found


def embed(url: str, **request: Any) -> dict[str, Any]:
    answer = _client(url).embeddings.with_raw_response.create(**request)
    found: dict[str, Any] = answer.parse().model_dump()
    return {**found, "job": answer.headers.get("x-batchline-job")}


def embed_at_once(url: str, model: str, texts: list[str]) -> list[list[float]]:
    """Each text in a request of its own, all at the same time, with the asynchronous client."""

    async def all_texts() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            calls = [client.embeddings.create(model=model, input=text) for text in texts]
            return [answer.data[0].embedding for answer in await asyncio.gather(*calls)]

    return asyncio.run(all_texts())


def moderate(url: str, **request: Any) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).moderations.create(**request).model_dump(by_alias=True)
    return found


def chat(url: str, **request: Any) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).chat.completions.create(**request).model_dump()
    return found


def complete(url: str, **request: Any) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).completions.create(**request).model_dump()
    return found


def stream_chat(url: str, **request: Any) -> list[dict[str, Any]]:
    return [chunk.model_dump() for chunk in _client(url).chat.completions.create(stream=True, **request)]


def stream_completion(url: str, **request: Any) -> list[dict[str, Any]]:
    return [chunk.model_dump() for chunk in _client(url).completions.create(stream=True, **request)]


def streams_at_once(url: str, requests: list[dict[str, Any]]) -> list[str]:
    """The texts of chats that are streamed at the same time, with the asynchronous client."""

    async def one(client: Any, request: dict[str, Any]) -> str:
        chunks = await client.chat.completions.create(stream=True, **request)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            return list(await asyncio.gather(*(one(client, request) for request in requests)))

    return asyncio.run(all_of_them())


def stream_into(url: str, file: str, **request: Any) -> dict[str, Any]:
    """Writes the text to a file as it grows. Returns how the stream ended."""
    text = ""
    try:
        for chunk in _client(url, max_retries=0).completions.create(stream=True, **request):
            text += chunk.choices[0].text
            Path(file).write_text(text, encoding="utf-8")
    except openai.APIError as error:
        return {"text": text, "error": error.message, "kind": type(error).__name__}
    return {"text": text, "error": None, "kind": None}


def leave_after(url: str, chunks: int, **request: Any) -> str:
    """Leaves a stream after some chunks. Returns the id of its first chunk."""
    with _client(url).completions.create(stream=True, **request) as stream:
        found = [next(stream) for _ in range(chunks)]
    identifier: str = found[0].id
    return identifier


def unwrap(secret: str, body: str, headers: dict[str, str]) -> dict[str, Any]:
    """A verified webhook."""
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    found: dict[str, Any] = client.webhooks.unwrap(body, headers).model_dump()
    return found
