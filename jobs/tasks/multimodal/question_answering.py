"""visual-question-answering and document-question-answering: a picture and a question about it."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image, MediaRecord
from jobs.tasks.parameters import Parameters, TopK
from jobs.tasks.task import Task

MAX_WORDS = 10_000
Question = Annotated[str, Meta(min_length=1)]
Box = Annotated[list[Annotated[int, Meta(ge=0, le=1_000)]], Meta(min_length=4, max_length=4)]
NewTokens = Annotated[int, Meta(ge=1, le=4_096)]


class ImageQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    image: str
    question: Question


class DocumentQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    image: str
    question: Question
    word_boxes: Annotated[list[tuple[str, Box]], Meta(min_length=1, max_length=MAX_WORDS)] | UnsetType = UNSET


class VisualQuestionAnswering(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    max_new_tokens: NewTokens | UnsetType = UNSET


class DocumentQuestionAnswering(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    doc_stride: Annotated[int, Meta(ge=1, le=100_000)] | UnsetType = UNSET
    max_seq_len: Annotated[int, Meta(ge=8, le=100_000)] | UnsetType = UNSET
    max_answer_len: Annotated[int, Meta(ge=1, le=1_000)] | UnsetType = UNSET
    handle_impossible_answer: bool | UnsetType = UNSET
    max_new_tokens: NewTokens | UnsetType = UNSET


def texts(item: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns what the model reads besides the picture."""
    return [(item["question"], *(word for word, _ in item.get("word_boxes", ())))]


VISUAL_QUESTION_ANSWERING = Task(
    name="visual-question-answering",
    aliases=("vqa",),
    help="Each question about an image gets its `top_k` answers, five by default, or a generated one.",
    input=MediaRecord((ImageQuestion,), {"image": Image()}, texts, max_chars=10_000),
    parameters=VisualQuestionAnswering,
    example={
        "inputs": {"image": LANDSCAPE, "question": "What is in the picture?"},
        "parameters": {"top_k": 2},
    },
    output="answers",
    heads=("ViltForQuestionAnswering", "BlipForQuestionAnswering"),
    input_tokens=200,  # of a ViLT: an image of 384 x 384 pixels in patches of 32, and a short question
    pipeline="worker.engine.pipelines.multimodal.visual_questions:VisualQuestionAnswering",
)

DOCUMENT_QUESTION_ANSWERING = Task(
    name="document-question-answering",
    help="Each question about a page gets its `top_k` answers, one by default, with the words they are from.",
    input=MediaRecord((DocumentQuestion,), {"image": Image()}, texts),
    parameters=DocumentQuestionAnswering,
    example={
        "inputs": {
            "image": LANDSCAPE,
            "question": "What is the total?",
            "word_boxes": [["Total", [80, 700, 180, 730]], ["$12.50", [820, 700, 930, 730]]],
        },
    },
    output="answers",
    heads=(
        "LayoutLMForQuestionAnswering",
        "LayoutLMv2ForQuestionAnswering",
        "LayoutLMv3ForQuestionAnswering",
        "VisionEncoderDecoderModel",
    ),
    input_tokens=512,
    pipeline="worker.engine.pipelines.multimodal.document_questions:DocumentQuestionAnswering",
)
