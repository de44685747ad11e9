"""automatic-speech-recognition: recordings and their texts."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.audio.classification import BYTES_PER_TOKEN
from jobs.tasks.examples import TONE
from jobs.tasks.inputs import Audio
from jobs.tasks.parameters import Parameters, Text
from jobs.tasks.task import Task

Seconds = Annotated[float, Meta(ge=0, le=600)]


class SpeechRecognition(Parameters, frozen=True):
    return_timestamps: bool | Literal["word", "char"] | UnsetType = UNSET
    chunk_length_s: Annotated[float, Meta(ge=1, le=600)] | UnsetType = UNSET
    stride_length_s: Seconds | Annotated[list[Seconds], Meta(min_length=2, max_length=2)] | UnsetType = UNSET
    language: Text | UnsetType = UNSET
    task: Literal["transcribe", "translate"] | UnsetType = UNSET
    return_language: bool | UnsetType = UNSET
    num_beams: Annotated[int, Meta(ge=1, le=16)] | UnsetType = UNSET
    max_new_tokens: Annotated[int, Meta(ge=1, le=4_096)] | UnsetType = UNSET


SPOKEN = ("language", "task", "return_language")
"""Parameters of models of many languages."""
GENERATION = (*SPOKEN, "num_beams", "max_new_tokens")
"""Parameters of models that generate text."""


def new_tokens(parameters: Mapping[str, Any]) -> int:
    """Returns the most tokens of a transcript, of which a model with CTC generates none."""
    return int(parameters.get("max_new_tokens", 0))


SPEECH_RECOGNITION = Task(
    name="automatic-speech-recognition",
    help="Each recording gets its text, with times if `return_timestamps` is set.",
    input=Audio(),
    parameters=SpeechRecognition,
    example={"inputs": TONE},
    output="transcript",
    generates=new_tokens,
    bytes_per_token=BYTES_PER_TOKEN,
    lacking={"ForCTC": GENERATION, "WhisperForConditionalGeneration": (), "": SPOKEN},
    heads=(
        "ForCTC",
        "MoonshineForConditionalGeneration",
        "MoonshineStreamingForConditionalGeneration",
        "Speech2TextForConditionalGeneration",
        "SpeechEncoderDecoderModel",
        "ForSpeechToText",
        "WhisperForConditionalGeneration",
    ),
    pipeline="worker.engine.pipelines.audio.speech_recognition:SpeechRecognition",
)
