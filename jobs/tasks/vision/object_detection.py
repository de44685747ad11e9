"""object-detection: the objects in images, each with its label and its box."""

from msgspec import UNSET, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image
from jobs.tasks.parameters import Parameters, Probability
from jobs.tasks.task import Task


class ObjectDetection(Parameters, frozen=True):
    threshold: Probability | UnsetType = UNSET
    """Objects with a lower score are left out; 0.5 by default."""


OBJECT_DETECTION = Task(
    name="object-detection",
    help="Each image gets its objects: label, score, and box in pixels of the image.",
    input=Image(),
    parameters=ObjectDetection,
    example={"inputs": LANDSCAPE, "parameters": {"threshold": 0.3}},
    output="boxes",
    input_tokens=1_000,  # of a DETR: 800 x 1,066 pixels become 25 x 34 positions
    heads=("ForObjectDetection",),
    pipeline="worker.engine.pipelines.vision.object_detection:ObjectDetection",
)
