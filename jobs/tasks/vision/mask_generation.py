"""mask-generation: masks of everything in images, without labels, found from a grid of points."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image
from jobs.tasks.parameters import Parameters, Probability
from jobs.tasks.task import Task

USUAL_POINTS = 32
"""Points in each direction if a job does not say how many."""


class MaskGeneration(Parameters, frozen=True):
    points_per_crop: Annotated[int, Meta(ge=1, le=64)] | UnsetType = UNSET
    """In each direction; 32 by default."""
    crops_n_layers: Annotated[int, Meta(ge=0, le=2)] | UnsetType = UNSET
    """Layer n adds 4^n crops of the image; 0 by default: only the image itself."""
    crop_overlap_ratio: Annotated[float, Meta(ge=0, le=0.9)] | UnsetType = UNSET
    pred_iou_thresh: Probability | UnsetType = UNSET
    stability_score_thresh: Probability | UnsetType = UNSET
    stability_score_offset: Annotated[float, Meta(ge=0, le=100)] | UnsetType = UNSET
    mask_threshold: Annotated[float, Meta(ge=-100, le=100)] | UnsetType = UNSET
    crops_nms_thresh: Probability | UnsetType = UNSET
    output_bboxes_mask: bool | UnsetType = UNSET
    output_rle_mask: bool | UnsetType = UNSET


def crops(parameters: Mapping[str, Any]) -> int:
    """Returns how many crops are run, each counted as often as it has 32 x 32 points."""
    layers: int = parameters.get("crops_n_layers", 0)
    points: int = parameters.get("points_per_crop", USUAL_POINTS)
    count = sum(1 << (2 * layer) for layer in range(layers + 1))
    return max(1, round(count * points**2 / USUAL_POINTS**2))


MASK_GENERATION = Task(
    name="mask-generation",
    help="Each image gets masks of all that is in it, as PNGs, with a score for each.",
    input=Image(),
    parameters=MaskGeneration,
    example={"inputs": LANDSCAPE, "parameters": {"points_per_crop": 8, "output_bboxes_mask": True}},
    output="masks",
    writes_files=True,
    passes=crops,
    input_tokens=4_096,  # of a SAM: 1,024 x 1,024 pixels in patches of 16 x 16
    heads=("SamModel", "SamHQModel", "Sam2Model", "Sam3TrackerModel", "EdgeTamModel"),
    pipeline="worker.engine.pipelines.vision.mask_generation:MaskGeneration",
)
