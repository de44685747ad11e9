"""feature-extraction: texts as vectors."""

from typing import Literal

from msgspec import UNSET, UnsetType

from jobs.tasks.inputs import Text
from jobs.tasks.parameters import Encoding, Parameters
from jobs.tasks.task import Task


class FeatureExtraction(Parameters, frozen=True):
    pooling: (
        Literal["none", "mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | UnsetType
    ) = UNSET
    """`none`: a vector for each token; the others as in sentence-transformers."""
    normalize: bool | UnsetType = UNSET
    encoding: Encoding | UnsetType = UNSET


FEATURE_EXTRACTION = Task(
    name="feature-extraction",
    help="Each text gets a vector, or without `pooling` one for each token.",
    input=Text(),
    parameters=FeatureExtraction,
    example={
        "inputs": "A wonderful film.",
        "parameters": {"pooling": "mean", "normalize": True},
    },
    output="vectors",
    onnx=True,
    pipeline="worker.engine.pipelines.text.features:FeatureExtraction",
)
