"""How a model of `models.toml` is loaded and run: task or class name -> LoadedPipeline.

Used inside the engine's child process. Which items share a batch is decided by the caller; what is
in here promises that the batch doesn't show in the answers.
Importing this package does not import torch: a pipeline of one's own may have no use for it.

interface       what the engine sees of a loaded pipeline
outputs         an output -> plain Python -> JSON bytes
checkpoint      a model's files -> model, tokenizer, limits; every rule of safety
quantized       linear layers in 8-bit integers
padding         rows of different lengths -> one rectangle
packing         rows of different lengths, end to end, through a model without padding
lanes           several passes at once, each on one core
text            what all tasks share: checks, the three steps, the proof that neighbours are harmless
encoder         what all but generation share: rows of tokens -> forward passes -> rows of numbers
classification  text-classification, token-classification, zero-shot-classification
features        feature-extraction
fill_mask       fill-mask
generation      text-generation
held_out.txt    texts of our own making, by which `worker/engine/dtypes.py` judges a faster dtype
custom          a class of the operator's own
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from jobs.models import ModelSpec
from worker.engine.pipelines.encoding import encode_output
from worker.engine.pipelines.interface import LoadedPipeline, PipelineInfo, Prepared

__all__ = ["LoadedPipeline", "PipelineInfo", "Prepared", "encode_output", "load"]

_CLASSES = {
    "text-classification": ("classification", "TextClassification"),
    "token-classification": ("classification", "TokenClassification"),
    "zero-shot-classification": ("classification", "ZeroShotClassification"),
    "feature-extraction": ("features", "FeatureExtraction"),
    "fill-mask": ("fill_mask", "FillMask"),
    "text-generation": ("generation", "TextGeneration"),
}


def load(spec: ModelSpec, source: Path | None) -> LoadedPipeline:
    """Loads the model into memory; `source` is its local folder or file. `auto` is no dtype here.

    With `source` None it comes from the hub, as `spec.source` at `spec.revision`.
    Raises ConfigurationError, in one sentence, for whatever keeps it from being served.
    """
    if spec.pipeline is not None:
        from worker.engine.pipelines.custom import CustomPipeline

        return CustomPipeline(spec, source)
    from worker.engine.pipelines.checkpoint import open_checkpoint

    module, name = _CLASSES[spec.task]
    task: Callable[..., LoadedPipeline] = getattr(import_module(f"worker.engine.pipelines.{module}"), name)
    return task(spec, open_checkpoint(spec, source))
