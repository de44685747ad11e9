"""fill-mask: the words that fit where a text has a mask."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Text as TextInput
from jobs.tasks.parameters import Parameters, Text, TopK
from jobs.tasks.task import Task


class FillMask(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    targets: Annotated[list[Text], Meta(min_length=1, max_length=100)] | UnsetType = UNSET


FILL_MASK = Task(
    name="fill-mask",
    help="Each text gets the words that fit best where it has a mask.",
    input=TextInput(),
    parameters=FillMask,
    example={"inputs": "Paris is the [MASK] of France.", "parameters": {"top_k": 3}},
    output="words",
    heads=("ForMaskedLM",),
    onnx=True,
    pipeline="worker.engine.pipelines.text.fill_mask:FillMask",
)
