"""Ranking of documents for a query, which several dialects offer: the pairs of a job, and its answer sorted.

One request is one job with an input for each document, so long and short documents share batches with others
of their length, and a job of many documents does not delay other jobs until its end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from api.problems.problem import Refusal
from jobs.models import ModelSpec
from jobs.schema import NewJob

TASK = "text-ranking"


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document in an answer. `document` is None unless the request asked for its text."""

    index: int
    score: float
    document: str | None


def parameters(*, raw_scores: bool, documents: bool) -> dict[str, Any]:
    """The job's parameters. Scores are between 0 and 1 (a sigmoid) unless the raw scores are wanted."""
    return {"function_to_apply": "none" if raw_scores else "sigmoid", "return_documents": documents}


def pairs(query: str, documents: Sequence[str], spec: ModelSpec) -> list[dict[str, str]]:
    """The inputs of a job that ranks the documents. Raises Refusal if they are too many."""
    check_count(len(documents), spec)
    return [{"query": query, "document": document} for document in documents]


def size(job: NewJob) -> int:
    """The characters of a job's pairs, the query counted for each document."""
    return sum(len(pair["query"]) + len(pair["document"]) for pair in job.inputs)


def check_count(count: int, spec: ModelSpec) -> None:
    """Raises Refusal for more inputs than the model accepts; clients then send smaller batches."""
    if count > spec.max_inputs:
        raise Refusal(
            "payload-too-large",
            f"the batch size {count:,} is more than this model's limit of {spec.max_inputs:,}"
            " (max_inputs in models.toml)",
        )


def best_first(outputs: Iterable[dict[str, Any]], top: int | None = None) -> list[Ranked]:
    """The documents by falling score, equal ones in their order; at most `top`.

    Raises Refusal if a score is not a number, which JSON shows as null.
    """
    found = []
    for index, output in enumerate(outputs):
        if output["score"] is None:
            raise Refusal("job-failed", f"the score of document {index} is not a number")
        found.append(Ranked(index, output["score"], output.get("document")))
    return sorted(found, key=lambda each: -each.score)[:top]
