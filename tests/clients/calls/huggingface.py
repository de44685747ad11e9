"""Calls of Hugging Face's client, and of what LangChain makes of it."""

from typing import Any

from huggingface_hub import InferenceClient, constants
from langchain_huggingface import HuggingFaceEndpointEmbeddings

constants.HF_HUB_OFFLINE = False  # it would refuse every request, to whatever address


def client(url: str, model: str) -> InferenceClient:
    return InferenceClient(f"{url}/models/{model}")


def classify(url: str, model: str, text: str, **options: Any) -> list[list[Any]]:
    return [[each.label, each.score] for each in client(url, model).text_classification(text, **options)]


def embed(url: str, model: str, texts: Any, **options: Any) -> Any:
    return client(url, model).feature_extraction(texts, **options).tolist()


def embed_with_langchain(url: str, model: str, texts: list[str]) -> list[list[float]]:
    embeddings = HuggingFaceEndpointEmbeddings()
    embeddings.client = client(url, model)  # it takes no address itself
    found: list[list[float]] = embeddings.embed_documents(texts)
    return found


def generate(url: str, model: str, text: str, **options: Any) -> Any:
    return client(url, model).text_generation(text, **options)


def stream(url: str, model: str, text: str, **options: Any) -> list[str]:
    open_client = client(url, model)  # its end would close the stream
    return list(open_client.text_generation(text, stream=True, **options))


def chat(url: str, model: str, messages: list[dict[str, str]], **options: Any) -> Any:
    [choice] = client(url, model).chat_completion(messages, **options).choices
    return [choice.message.content, choice.finish_reason]


def stream_chat(url: str, model: str, messages: list[dict[str, str]], **options: Any) -> list[str]:
    open_client = client(url, model)
    chunks = open_client.chat_completion(messages, stream=True, **options)
    return [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
