"""Hugging Face's client, with an address where a TEI server would be."""

from typing import Any

from huggingface_hub import InferenceClient, constants

constants.HF_HUB_OFFLINE = False  # it would refuse every request, to whatever address


def embed(url: str, texts: Any, **options: Any) -> Any:
    return InferenceClient(url).feature_extraction(texts, **options).tolist()


def similarity(url: str, sentence: str, others: list[str]) -> list[float]:
    client = InferenceClient(f"{url}/similarity")
    return list(client.sentence_similarity(sentence, other_sentences=others))


def info(url: str) -> dict[str, Any]:
    client = InferenceClient(model=url, provider="hf-inference")
    return {"healthy": client.health_check(), **client.get_endpoint_info()}
