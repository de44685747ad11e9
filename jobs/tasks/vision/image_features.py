"""image-feature-extraction: images as vectors."""

from msgspec import UNSET, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image
from jobs.tasks.parameters import Encoding, Parameters
from jobs.tasks.task import Task


class ImageFeatureExtraction(Parameters, frozen=True):
    pool: bool | UnsetType = UNSET
    """One vector for the image; otherwise the model's last hidden states."""
    encoding: Encoding | UnsetType = UNSET


IMAGE_FEATURE_EXTRACTION = Task(
    name="image-feature-extraction",
    help="Each image gets a vector with `pool`, or without it one for each patch.",
    input=Image(),
    parameters=ImageFeatureExtraction,
    example={"inputs": LANDSCAPE, "parameters": {"pool": True}},
    output="vectors",
    input_tokens=197,  # of a ViT at its usual 224 x 224 pixels; images are resized
    judged_by_media=True,
    pipeline="worker.engine.pipelines.vision.image_features:ImageFeatureExtraction",
)
