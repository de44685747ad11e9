"""depth-estimation: how far away each pixel of an image is."""

from msgspec import UNSET, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image
from jobs.tasks.parameters import Parameters
from jobs.tasks.task import Task


class DepthEstimation(Parameters, frozen=True):
    return_predicted_depth: bool | UnsetType = UNSET
    """Adds the model's own numbers; without it only the picture of them is kept."""


DEPTH_ESTIMATION = Task(
    name="depth-estimation",
    help="Each image gets its depth as a grey PNG, with the depths of its black and its white.",
    input=Image(),
    parameters=DepthEstimation,
    example={"inputs": LANDSCAPE},
    output="picture",
    writes_files=True,
    input_tokens=1_370,  # of a Depth Anything: 518 x 518 pixels in patches of 14 x 14
    heads=("ForDepthEstimation",),
    pipeline="worker.engine.pipelines.vision.depth_estimation:DepthEstimation",
)
