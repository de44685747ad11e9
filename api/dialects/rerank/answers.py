"""The answer to a rerank request. One document serves clients of Cohere and of Jina."""

from collections.abc import Sequence
from typing import Any

from api.dialects.ranking import Ranked
from jobs.schema import Job


def answer(job: Job, ranked: Sequence[Ranked], version: str) -> dict[str, Any]:
    """The documents, best first. `meta` is for Cohere's clients; `usage` and `model` are for Jina's."""
    tokens = job.counts.tokens or 0
    return {
        "id": job.id,
        "model": job.model,
        "results": [_result(each) for each in ranked],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": {
            "api_version": {"version": version},
            "billed_units": {"search_units": 1},
            "tokens": {"input_tokens": tokens, "output_tokens": 0},
        },
    }


def _result(ranked: Ranked) -> dict[str, Any]:
    found: dict[str, Any] = {"index": ranked.index, "relevance_score": ranked.score}
    return found if ranked.document is None else found | {"document": {"text": ranked.document}}
