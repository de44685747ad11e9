"""Cohere's clients of both versions."""

from typing import Any

import cohere


def rerank(url: str, **asked: Any) -> dict[str, Any]:
    answer: Any = cohere.ClientV2("none", base_url=url).rerank(**asked)
    return {
        "id": answer.id,
        "results": [(each.index, each.relevance_score) for each in answer.results],
        "tokens": answer.meta.tokens.input_tokens,
    }


def rerank_v1(url: str, **asked: Any) -> list[tuple[int, float, str | None]]:
    answer: Any = cohere.Client("none", base_url=url).rerank(**asked)
    return [
        (each.index, each.relevance_score, each.document.text if each.document else None)
        for each in answer.results
    ]
