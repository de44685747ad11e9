"""Loads and runs the models of `models.toml`: a task's definition -> LoadedPipeline.

Used in the engine's child process. The caller decides which items share a batch; this package ensures that
the batch does not change the answers. Importing it does not import torch, which a custom pipeline may not
need.

interface       what the engine uses of a loaded pipeline
continuous      what the engine uses of a pipeline whose rows join and leave
encoding        an output -> plain Python -> JSON bytes
checkpoint      a model's files -> model, processor, limits; all safety rules
hub             whether a hub's model is in the cache, and why the hub did not provide it
quantized       linear layers in 8-bit integers
files           files in outputs
vectors         vectors in outputs, as numbers or base64
parallel        several passes at once, each on one core
staged          inputs that are decoded and preprocessed one by one, as images and sounds
hypothesis      the template of a zero-shot task
custom          a class of the operator
text            tasks whose models read rows of tokens: packing, padding, passes on several cores
vision          tasks on images and videos
audio           tasks on sounds
multimodal      tasks on a medium together with a text
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

__all__ = [
    "ComparablePipeline",
    "LoadedPipeline",
    "PipelineInfo",
    "Prepared",
    "encode_output",
    "load",
    "writes_files",
]


def load(spec: ModelSpec, source: Path | None) -> LoadedPipeline:
    """Loads the model into memory; `source` is its local folder or file. The dtype must not be `auto`.

    With `source` None the model comes from the hub, as `spec.source` at `spec.revision`. Raises
    ConfigurationError, in one sentence, for anything that prevents serving it.
    """
    return pipeline_class(spec.definition).open(spec, source)


def pipeline_class(task: Task) -> PipelineClass:
    """Returns the class that runs the task; importing it may import torch."""
    module, _, name = task.pipeline.partition(":")
    found: PipelineClass = getattr(import_module(module), name)
    return found


def writes_files(spec: ModelSpec, pipeline: LoadedPipeline) -> bool:
    """Whether outputs of the model may contain files: its task or its own class says so."""
    return spec.definition.writes_files or pipeline.writes_files
