"""text-generation: prompts and their continuations."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import TextOrChat
from jobs.tasks.parameters import Parameters, Temperature, TopK
from jobs.tasks.task import Task

StopString = Annotated[str, Meta(min_length=1, max_length=64)]


class Continuation(Parameters, frozen=True):
    """How a model continues a prompt, for every task that generates one."""

    max_new_tokens: Annotated[int, Meta(ge=1, le=4_096)] | UnsetType = UNSET
    do_sample: bool | UnsetType = UNSET
    temperature: Temperature | UnsetType = UNSET
    top_k: TopK | UnsetType = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET
    repetition_penalty: Annotated[float, Meta(gt=0, le=100)] | UnsetType = UNSET
    return_full_text: bool | UnsetType = UNSET


class TextGeneration(Continuation, frozen=True):
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | UnsetType = UNSET
    """Of each input's random numbers: with the same seed, the same tokens are drawn."""
    stop: Annotated[list[StopString], Meta(min_length=1, max_length=4)] | UnsetType = UNSET
    """A continuation ends before the first of these strings."""
    details: bool | UnsetType = UNSET
    """Whether the output says why it ended, and its numbers of tokens."""


USUAL_NEW_TOKENS = 16
"""Assumed if a job does not say how many; the model's own configuration may have another default."""


def new_tokens(parameters: Mapping[str, Any]) -> int:
    """Returns the most tokens of a continuation."""
    return int(parameters.get("max_new_tokens", USUAL_NEW_TOKENS))


TEXT_GENERATION = Task(
    name="text-generation",
    help="Each prompt gets its continuation, each chat its next message.",
    input=TextOrChat(),
    parameters=TextGeneration,
    example={"inputs": "Once upon a time", "parameters": {"max_new_tokens": 20}},
    output="texts",
    generates=new_tokens,
    heads=("ForCausalLM", "LMHeadModel"),
    pipeline="worker.engine.pipelines.text.continuous.pipeline:ContinuousTextGeneration",
)
