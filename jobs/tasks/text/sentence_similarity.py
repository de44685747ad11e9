"""sentence-similarity: how similar a sentence is to others, by the cosine of their vectors."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Record
from jobs.tasks.parameters import Parameters
from jobs.tasks.task import Task

MAX_SENTENCES = 1_000


class Sentences(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    source_sentence: str
    sentences: Annotated[list[str], Meta(min_length=1, max_length=MAX_SENTENCES)]


class SentenceSimilarity(Parameters, frozen=True):
    pooling: (
        Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | UnsetType
    ) = UNSET


def sentences(item: dict[str, Any]) -> list[tuple[str]]:
    """Returns the source sentence and then the others, in order."""
    return [(text,) for text in (item["source_sentence"], *item["sentences"])]


SENTENCE_SIMILARITY = Task(
    name="sentence-similarity",
    help="Each sentence gets the cosine similarity of its vector with that of the source sentence.",
    input=Record((Sentences,), sentences, max_chars=1_000_000),
    parameters=SentenceSimilarity,
    example={
        "inputs": {
            "source_sentence": "The bridge was opened in the spring.",
            "sentences": ["They opened the bridge in April.", "The town has two bakeries."],
        },
    },
    output="scores",
    onnx=True,
    pipeline="worker.engine.pipelines.text.similarity:SentenceSimilarity",
)
