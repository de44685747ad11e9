"""summarization, translation and text2text-generation: texts for texts, by an encoder and a decoder."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Text
from jobs.tasks.parameters import Parameters, Temperature, TopK
from jobs.tasks.parameters import Text as Name
from jobs.tasks.task import Task

USUAL_NEW_TOKENS = 64
"""Assumed if a job does not say how many; the model's own configuration may have another default."""

HEADS = ("ForConditionalGeneration", "MarianMTModel", "EncoderDecoderModel", "ForTextToText")


class TextToText(Parameters, frozen=True):
    max_new_tokens: Annotated[int, Meta(ge=1, le=4_096)] | UnsetType = UNSET
    min_new_tokens: Annotated[int, Meta(ge=0, le=4_096)] | UnsetType = UNSET
    num_beams: Annotated[int, Meta(ge=1, le=16)] | UnsetType = UNSET
    length_penalty: Annotated[float, Meta(ge=-100, le=100)] | UnsetType = UNSET
    no_repeat_ngram_size: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    do_sample: bool | UnsetType = UNSET
    temperature: Temperature | UnsetType = UNSET
    top_k: TopK | UnsetType = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET


class Translation(TextToText, frozen=True):
    src_lang: Name | UnsetType = UNSET
    tgt_lang: Name | UnsetType = UNSET


def beams(parameters: Mapping[str, Any]) -> int:
    """Returns how many continuations of each text are computed side by side."""
    return max(1, int(parameters.get("num_beams", 1)))


def new_tokens(parameters: Mapping[str, Any]) -> int:
    """Returns the most tokens generated for a text, for all its beams."""
    return int(parameters.get("max_new_tokens", USUAL_NEW_TOKENS)) * beams(parameters)


def languages(task: Any) -> dict[str, str]:
    """Returns the defaults that a name such as translation_en_to_fr stands for; none for another value."""
    found = re.fullmatch(r"translation_(\w+)_to_(\w+)", task) if isinstance(task, str) else None
    return {"src_lang": found[1], "tgt_lang": found[2]} if found else {}


SUMMARIZATION = Task(
    name="summarization",
    help="Each text gets its summary.",
    input=Text(),
    parameters=TextToText,
    example={
        "inputs": "The committee met in the old town hall and spoke for most of the evening about the bridge,"
        " which had been closed since the spring. In the end it was agreed to build another one.",
        "parameters": {"max_new_tokens": 40},
    },
    output="texts",
    passes=beams,
    generates=new_tokens,
    heads=HEADS,
    pipeline="worker.engine.pipelines.text.text_to_text:Summarization",
)

TRANSLATION = Task(
    name="translation",
    help="Each text gets its translation.",
    input=Text(),
    parameters=Translation,
    example={"inputs": "The bridge is closed in winter."},
    output="texts",
    passes=beams,
    generates=new_tokens,
    heads=HEADS,
    pipeline="worker.engine.pipelines.text.translation:Translation",
)

TEXT2TEXT_GENERATION = Task(
    name="text2text-generation",
    help="Each text gets the text that an encoder-decoder model generates for it.",
    input=Text(),
    parameters=TextToText,
    example={"inputs": "translate English to German: The bridge is closed in winter."},
    output="texts",
    passes=beams,
    generates=new_tokens,
    heads=HEADS,
    pipeline="worker.engine.pipelines.text.text_to_text:Text2TextGeneration",
)
