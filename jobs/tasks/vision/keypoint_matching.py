"""keypoint-matching: the same points in two images."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image, MediaRecord
from jobs.tasks.parameters import Parameters, Probability
from jobs.tasks.task import Task


class ImagePair(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    images: Annotated[list[Any], Meta(min_length=2, max_length=2)]


class KeypointMatching(Parameters, frozen=True):
    threshold: Probability | UnsetType = UNSET
    """Matches with a lower score are left out; 0 by default."""


KEYPOINT_MATCHING = Task(
    name="keypoint-matching",
    help="Each pair of images gets the points that it has in common, in pixels of each, the best first.",
    input=MediaRecord((ImagePair,), {"images": Image()}, rows=lambda _: ()),
    parameters=KeypointMatching,
    example={"inputs": {"images": [LANDSCAPE, LANDSCAPE]}, "parameters": {"threshold": 0.1}},
    output="keypoints",
    input_tokens=4_096,  # of a LightGlue: up to 2,048 points in each image
    heads=("ForKeypointMatching",),
    pipeline="worker.engine.pipelines.vision.keypoint_matching:KeypointMatching",
)
