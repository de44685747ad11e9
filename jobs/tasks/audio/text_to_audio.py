"""text-to-audio: texts and their speech or music."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Text
from jobs.tasks.parameters import Parameters, Temperature
from jobs.tasks.task import Task

DEFAULT_SEED = 0


MAX_CHARS = 2_000
"""Default of `max_input_chars`: two minutes of speech. A VITS needs memory by the square."""


class TextToAudio(Parameters, frozen=True):
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] | UnsetType = UNSET
    max_new_tokens: Annotated[int, Meta(ge=1, le=4_096)] | UnsetType = UNSET
    do_sample: bool | UnsetType = UNSET
    temperature: Temperature | UnsetType = UNSET
    guidance_scale: Annotated[float, Meta(ge=1, le=100)] | UnsetType = UNSET


def new_tokens(parameters: Mapping[str, Any]) -> int:
    """Returns the most tokens of a sound, of which many models of speech generate none."""
    return int(parameters.get("max_new_tokens", 0))


TEXT_TO_AUDIO = Task(
    name="text-to-audio",
    aliases=("text-to-speech",),
    help="Each text gets a sound as a WAV file, the same each time for the same `seed`.",
    input=Text(max_chars=MAX_CHARS),
    parameters=TextToAudio,
    example={"inputs": "Good evening, and welcome."},
    output="sound",
    writes_files=True,
    generates=new_tokens,
    heads=("VitsModel", "MusicgenForConditionalGeneration"),
    pipeline="worker.engine.pipelines.audio.text_to_audio:TextToAudio",
)
