"""zero-shot-image-classification and zero-shot-object-detection: labels that the client names."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image
from jobs.tasks.parameters import Parameters, Text, TopK
from jobs.tasks.task import Task

CandidateLabels = Annotated[list[Text], Meta(min_length=1, max_length=100)]


class ZeroShotImageClassification(Parameters, frozen=True):
    candidate_labels: CandidateLabels
    hypothesis_template: Text | UnsetType = UNSET


class ZeroShotObjectDetection(Parameters, frozen=True):
    candidate_labels: CandidateLabels
    threshold: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    top_k: TopK | UnsetType = UNSET


def labels(parameters: Mapping[str, Any]) -> int:
    """Returns the number of labels: a detector sees each image once for each label."""
    return max(1, len(parameters["candidate_labels"]))


ZERO_SHOT_IMAGE_CLASSIFICATION = Task(
    name="zero-shot-image-classification",
    help="Each image gets a score for each label that the request names, the best first.",
    input=Image(),
    parameters=ZeroShotImageClassification,
    example={
        "inputs": LANDSCAPE,
        "parameters": {"candidate_labels": ["a landscape", "a portrait"]},
    },
    output="labels",
    heads=(
        "AlignModel",
        "BlipModel",
        "Blip2ForImageTextRetrieval",
        "CLIPModel",  # also of AltCLIP and Chinese CLIP
        "CLIPSegModel",
        "MetaClip2Model",
        "SiglipModel",
        "Siglip2Model",
        "Tipsv2Model",
    ),
    input_tokens=50,  # of a CLIP with patches of 32 pixels; the labels are read once for a batch
    pipeline="worker.engine.pipelines.multimodal.zero_shot:ZeroShotImageClassification",
)

ZERO_SHOT_OBJECT_DETECTION = Task(
    name="zero-shot-object-detection",
    help="Each image gets the boxes of the objects that the request names, with their scores.",
    input=Image(),
    parameters=ZeroShotObjectDetection,
    example={
        "inputs": LANDSCAPE,
        "parameters": {"candidate_labels": ["a hill", "the sun"], "threshold": 0.01},
    },
    output="boxes",
    passes=labels,
    heads=(
        "GroundingDinoForObjectDetection",
        "OwlViTForObjectDetection",
        "Owlv2ForObjectDetection",
    ),
    input_tokens=576,  # of an OWL-ViT with patches of 32 pixels
    pipeline="worker.engine.pipelines.multimodal.zero_shot:ZeroShotObjectDetection",
)
