"""text-ranking: how well each document answers a query, by a cross-encoder that reads both together."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Record
from jobs.tasks.parameters import Parameters, TopK
from jobs.tasks.task import Task

MAX_DOCUMENTS = 1_000


class Documents(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    query: str
    documents: Annotated[list[str], Meta(min_length=1, max_length=MAX_DOCUMENTS)]


class Pair(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    query: str
    document: str


class TextRanking(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    return_documents: bool | UnsetType = UNSET
    function_to_apply: Literal["sigmoid", "none"] | UnsetType = UNSET


def pairs(item: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the pairs of the query with each document, in order."""
    documents = item["documents"] if "documents" in item else [item["document"]]
    return [(item["query"], document) for document in documents]


TEXT_RANKING = Task(
    name="text-ranking",
    aliases=("rerank", "reranking"),
    help="Each document gets a score for how well it answers the query; `top_k` keeps the best, sorted.",
    input=Record((Documents, Pair), pairs, max_chars=1_000_000),
    parameters=TextRanking,
    example={
        "inputs": {
            "query": "When was the bridge opened?",
            "documents": ["The bridge was opened in the spring of 1911.", "The town has two bakeries."],
        },
        "parameters": {"return_documents": True},
    },
    output="ranking",
    heads=("ForSequenceClassification",),
    onnx=True,
    pipeline="worker.engine.pipelines.text.ranking:TextRanking",
)
