"""feature-extraction: texts as vectors."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from jobs.tasks.inputs import Text
from jobs.tasks.parameters import Encoding, Parameters
from jobs.tasks.task import Task


class FeatureExtraction(Parameters, frozen=True):
    pooling: (
        Literal["none", "mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", "auto"]
        | UnsetType
    ) = UNSET
    """`none`: a vector for each token; `auto`: as the model was trained, else `mean`; the others as in
    sentence-transformers."""
    normalize: bool | UnsetType = UNSET
    dimensions: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    """Only the first numbers of each vector, of a model that declares this number (`jobs/models.py`)."""
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
    max_inputs=2_048,  # as many as clients of other servers send at once
    onnx=True,
    pipeline="worker.engine.pipelines.text.features:FeatureExtraction",
)
