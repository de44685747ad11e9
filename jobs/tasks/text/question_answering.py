"""question-answering: the part of a text that answers a question."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Record
from jobs.tasks.parameters import Parameters, TopK
from jobs.tasks.task import Task

WINDOW_CHARS = 1_000
"""Of a context, about as many as are new in each of the windows that the model reads by default."""


class Question(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    question: str
    context: str


class QuestionAnswering(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    max_answer_len: Annotated[int, Meta(ge=1, le=1_000)] | UnsetType = UNSET
    handle_impossible_answer: bool | UnsetType = UNSET
    doc_stride: Annotated[int, Meta(ge=0, le=10_000)] | UnsetType = UNSET
    """The tokens that two windows share."""
    max_seq_len: Annotated[int, Meta(ge=1, le=100_000)] | UnsetType = UNSET
    """The tokens of the question and one window."""


def windows(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the question with each part of the context, about as the model reads them."""
    question, context = item["question"], item["context"]
    starts = range(0, max(1, len(context)), WINDOW_CHARS)
    return [(question, context[start : start + WINDOW_CHARS]) for start in starts]


QUESTION_ANSWERING = Task(
    name="question-answering",
    help="Each question gets the part of its context that answers it best, or its `top_k` answers.",
    input=Record((Question,), windows, max_chars=200_000),
    parameters=QuestionAnswering,
    example={
        "inputs": {
            "question": "When was the bridge opened?",
            "context": "The bridge was opened in the spring of 1911. It had three arches.",
        }
    },
    output="answers",
    heads=("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
    onnx=True,
    pipeline="worker.engine.pipelines.text.question_answering:QuestionAnswering",
)
