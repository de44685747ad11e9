"""video-classification: videos and their labels."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.examples import SUNRISE
from jobs.tasks.inputs import Video
from jobs.tasks.parameters import Parameters, TopK
from jobs.tasks.task import Task


class VideoClassification(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    function_to_apply: Literal["sigmoid", "softmax", "none"] | UnsetType = UNSET
    num_frames: Annotated[int, Meta(ge=1, le=256)] | UnsetType = UNSET
    """By default as many as the model was trained with; most models accept no other number."""
    frame_sampling_rate: Annotated[int, Meta(ge=1, le=64)] | UnsetType = UNSET
    """How many frames of the video there are for one that is read; 1 by default."""


VIDEO_CLASSIFICATION = Task(
    name="video-classification",
    help="Each video gets its `top_k` labels with their scores, five by default, from its first frames.",
    input=Video(),
    parameters=VideoClassification,
    example={"inputs": SUNRISE, "parameters": {"top_k": 3}},
    output="labels",
    input_tokens=1_568,  # of a VideoMAE: 16 frames of 224 x 224 pixels in tubes of 2 x 16 x 16
    heads=("ForVideoClassification",),
    pipeline="worker.engine.pipelines.vision.video_classification:VideoClassification",
)
