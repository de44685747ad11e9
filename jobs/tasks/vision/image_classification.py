"""image-classification: images and their labels."""

from typing import Literal

from msgspec import UNSET, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image
from jobs.tasks.parameters import Parameters, TopK
from jobs.tasks.task import Task


class ImageClassification(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    function_to_apply: Literal["sigmoid", "softmax", "none"] | UnsetType = UNSET


IMAGE_CLASSIFICATION = Task(
    name="image-classification",
    help="Each image gets its `top_k` labels with their scores, five by default.",
    input=Image(),
    parameters=ImageClassification,
    example={"inputs": LANDSCAPE, "parameters": {"top_k": 3}},
    output="labels",
    input_tokens=197,  # of a ViT at its usual 224 x 224 pixels; images are resized
    judged_by_media=True,
    heads=("ForImageClassification", "ForImageClassificationWithTeacher"),
    pipeline="worker.engine.pipelines.vision.image_classification:ImageClassification",
)
