"""text-classification, token-classification and zero-shot-classification."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Text as TextInput
from jobs.tasks.inputs import TextOrPair
from jobs.tasks.parameters import Parameters, Text, TopK
from jobs.tasks.task import Task


class TextClassification(Parameters, frozen=True):
    top_k: TopK | UnsetType | None = UNSET
    function_to_apply: Literal["sigmoid", "softmax", "none"] | UnsetType = UNSET


class TokenClassification(Parameters, frozen=True):
    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | UnsetType = UNSET
    ignore_labels: Annotated[list[Text], Meta(max_length=100)] | UnsetType = UNSET


class ZeroShotClassification(Parameters, frozen=True):
    candidate_labels: Annotated[list[Text], Meta(min_length=1, max_length=100)]
    hypothesis_template: Text | UnsetType = UNSET
    multi_label: bool | UnsetType = UNSET


def labels(parameters: Mapping[str, Any]) -> int:
    """Returns the number of labels: each text is run once per label."""
    return max(1, len(parameters["candidate_labels"]))


TEXT_CLASSIFICATION = Task(
    name="text-classification",
    aliases=("sentiment-analysis",),
    help="Each text or pair of texts gets its label with a score, or its `top_k` labels.",
    input=TextOrPair(),
    parameters=TextClassification,
    example={"inputs": ["A wonderful film.", "A dull, badly acted mess."]},
    output="labels",
    heads=("ForSequenceClassification",),
    onnx=True,
    pipeline="worker.engine.pipelines.text.classification:TextClassification",
)

TOKEN_CLASSIFICATION = Task(
    name="token-classification",
    aliases=("ner",),
    help="Each text gets the tokens, or the entities, that have a label.",
    input=TextInput(),
    parameters=TokenClassification,
    example={
        "inputs": "Ada Lovelace lived in London.",
        "parameters": {"aggregation_strategy": "simple"},
    },
    output="entities",
    heads=("ForTokenClassification",),
    onnx=True,
    pipeline="worker.engine.pipelines.text.classification:TokenClassification",
)

ZERO_SHOT_CLASSIFICATION = Task(
    name="zero-shot-classification",
    help="Each text gets a score for each label that the request names.",
    input=TextInput(),
    parameters=ZeroShotClassification,
    example={
        "inputs": "The match ended in a draw.",
        "parameters": {"candidate_labels": ["sport", "politics"]},
    },
    output="labels",
    passes=labels,
    heads=("ForSequenceClassification",),
    onnx=True,
    pipeline="worker.engine.pipelines.text.classification:ZeroShotClassification",
)
