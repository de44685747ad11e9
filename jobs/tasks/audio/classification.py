"""audio-classification and zero-shot-audio-classification: sounds and their labels."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.examples import TONE
from jobs.tasks.inputs import Audio
from jobs.tasks.parameters import Parameters, Text, TopK
from jobs.tasks.task import Task

BYTES_PER_TOKEN = 320
"""Of a sound: models compute about 50 tokens a second, and a second has about 16 kB."""


class AudioClassification(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    function_to_apply: Literal["sigmoid", "softmax", "none"] | UnsetType = UNSET


class ZeroShotAudioClassification(Parameters, frozen=True):
    candidate_labels: Annotated[list[Text], Meta(min_length=1, max_length=100)]
    hypothesis_template: Text | UnsetType = UNSET


AUDIO_CLASSIFICATION = Task(
    name="audio-classification",
    help="Each sound gets its `top_k` labels with their scores, five by default.",
    input=Audio(),
    parameters=AudioClassification,
    example={"inputs": TONE, "parameters": {"top_k": 3}},
    output="labels",
    bytes_per_token=BYTES_PER_TOKEN,
    heads=(
        "ForAudioClassification",
        # these would otherwise be taken for classifiers of texts
        "Data2VecAudioForSequenceClassification",
        "HubertForSequenceClassification",
        "SEWDForSequenceClassification",
        "SEWForSequenceClassification",
        "UniSpeechForSequenceClassification",
        "UniSpeechSatForSequenceClassification",
        "Wav2Vec2BertForSequenceClassification",
        "Wav2Vec2ConformerForSequenceClassification",
        "Wav2Vec2ForSequenceClassification",
        "WavLMForSequenceClassification",
    ),
    judged_by_media=True,
    pipeline="worker.engine.pipelines.audio.classification:AudioClassification",
)

ZERO_SHOT_AUDIO_CLASSIFICATION = Task(
    name="zero-shot-audio-classification",
    help="Each sound gets a score for each label that the request names.",
    input=Audio(),
    parameters=ZeroShotAudioClassification,
    example={"inputs": TONE, "parameters": {"candidate_labels": ["a tone", "a dog"]}},
    output="labels",
    input_tokens=64,  # of a CLAP for any length: sounds are cut or repeated to ten seconds
    heads=("ClapModel",),
    pipeline="worker.engine.pipelines.audio.classification:ZeroShotAudioClassification",
)
