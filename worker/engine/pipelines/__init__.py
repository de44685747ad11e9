"""How a model of `models.toml` is loaded and run: a task's definition -> LoadedPipeline.

Used inside the engine's child process. Which items share a batch is decided by the caller; what is
in here promises that the batch doesn't show in the answers.
Importing this package does not import torch: a pipeline of one's own may have no use for it.

interface       what the engine sees of a loaded pipeline
outputs         an output -> plain Python -> JSON bytes
checkpoint      a model's files -> model, processor, limits; every rule of safety
hub             whether a hub's model is in the cache, and what is wrong where the hub is of no use
quantized       linear layers in 8-bit integers
padding         rows of different lengths -> one rectangle
packing         rows of different lengths, end to end, through a model without padding
lanes           several passes at once, each on one core
text            what all tasks share: checks, the three steps, the proof that neighbours are harmless
encoder         what all but generation share: rows of tokens -> forward passes -> rows of numbers
classification  text-classification, token-classification, zero-shot-classification
features        feature-extraction
fill_mask       fill-mask
ranking         text-ranking
image_decoding  an image's base64 -> pixels, within limits
image_classification  image-classification
generation      text-generation
held_out.txt    texts of our own making, by which `worker/engine/dtypes.py` judges a faster dtype
custom          a class of the operator's own
"""

from importlib import import_module
from pathlib import Path

from jobs.models import ModelSpec
from jobs.tasks import Task
from worker.engine.pipelines.encoding import encode_output
from worker.engine.pipelines.interface import (
    ComparablePipeline,
    LoadedPipeline,
    PipelineClass,
    PipelineInfo,
    Prepared,
)

__all__ = ["ComparablePipeline", "LoadedPipeline", "PipelineInfo", "Prepared", "encode_output", "load"]


def load(spec: ModelSpec, source: Path | None) -> LoadedPipeline:
    """Loads the model into memory; `source` is its local folder or file. `auto` is no dtype here.

    With `source` None it comes from the hub, as `spec.source` at `spec.revision`.
    Raises ConfigurationError, in one sentence, for whatever keeps it from being served.
    """
    return pipeline_class(spec.definition).open(spec, source)


def pipeline_class(task: Task) -> PipelineClass:
    """The class that runs the task; importing it may import torch."""
    module, _, name = task.pipeline.partition(":")
    found: PipelineClass = getattr(import_module(module), name)
    return found
