"""image-segmentation: the parts of images, each with its label and its mask."""

from typing import Literal

from msgspec import UNSET, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image
from jobs.tasks.parameters import Parameters, Probability
from jobs.tasks.task import Task


class ImageSegmentation(Parameters, frozen=True):
    subtask: Literal["panoptic", "instance", "semantic"] | UnsetType = UNSET
    """By default the first of these that the model's image processor offers."""
    threshold: Probability | UnsetType = UNSET
    mask_threshold: Probability | UnsetType = UNSET
    overlap_mask_area_threshold: Probability | UnsetType = UNSET


IMAGE_SEGMENTATION = Task(
    name="image-segmentation",
    help="Each image gets its segments: label, score if the model has one, and mask as a PNG.",
    input=Image(),
    parameters=ImageSegmentation,
    example={"inputs": LANDSCAPE, "parameters": {"threshold": 0.5}},
    output="masks",
    writes_files=True,
    input_tokens=1_024,  # of a SegFormer: 512 x 512 pixels in patches of 16 x 16
    heads=(
        "ForSemanticSegmentation",
        "ForInstanceSegmentation",
        "ForUniversalSegmentation",
        "ForSegmentation",
    ),
    pipeline="worker.engine.pipelines.vision.image_segmentation:ImageSegmentation",
)
