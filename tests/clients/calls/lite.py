"""litellm, with this server as an OpenAI-compatible one."""

from typing import Any

import litellm

litellm.telemetry = False


def embed(url: str, model: str, texts: list[str]) -> list[list[float]]:
    answer = litellm.embedding(
        model=f"openai/{model}", input=texts, api_base=f"{url}/v1", api_key="none", encoding_format="float"
    )
    return [each["embedding"] for each in answer.data]


def chat(url: str, model: str, text: str, **options: Any) -> str:
    answer = litellm.completion(
        model=f"openai/{model}",
        messages=[{"role": "user", "content": text}],
        api_base=f"{url}/v1",
        api_key="none",
        **options,
    )
    found: str = answer.choices[0].message.content
    return found


def stream_chat(url: str, model: str, text: str, **options: Any) -> str:
    chunks = litellm.completion(
        model=f"openai/{model}",
        messages=[{"role": "user", "content": text}],
        api_base=f"{url}/v1",
        api_key="none",
        stream=True,
        **options,
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def rerank(url: str, provider: str, **asked: Any) -> list[tuple[int, float]]:
    """`provider` is whose rerank call it makes: `cohere`, `jina_ai` or `hosted_vllm`."""
    model = f"{provider}/{asked.pop('model')}"
    answer = litellm.rerank(model=model, api_base=url, api_key="none", **asked)
    return [(each["index"], each["relevance_score"]) for each in answer.results]


def unknown_model(url: str) -> None:
    litellm.embedding(model="openai/gone", input=["a"], api_base=f"{url}/v1", api_key="none", max_retries=0)
