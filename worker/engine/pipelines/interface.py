"""The interface between the engine and any pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from jobs.models import ModelSpec
from worker.engine.protocol import CHARS_PER_TOKEN


@dataclass(frozen=True)
class PipelineInfo:
    """Properties of a loaded pipeline."""

    device: str
    dtype: str
    max_length: int | None
    """Maximum tokens of a text; longer ones are truncated. None: no limit is known."""
    tokenizer_file: str | None
    """Path of `tokenizer.json`, for measuring texts elsewhere; it may enable truncation and padding."""
    tokenizes: bool = False
    """Whether inputs are turned into tokens, so that a batch may have padding."""
    packs: bool = False
    """Whether texts of different lengths share a forward pass without padding."""
    lanes: int = 1
    """Number of forward passes that a large batch is divided into."""
    unit_seconds: float | None = None
    """The seconds of sound that count as one in costs; None if lengths are not seconds."""
    pass_tokens: int = 0
    """Tokens with which a batch is not yet full, however little a larger one gains.

    Where a pass costs little besides its tokens, small batches compute as fast as large ones, but each has
    its costs outside the pass.
    """
    backend: str = "torch"
    """The library that computes the model; empty if it is not known."""


@dataclass(frozen=True)
class Prepared:
    """A micro-batch that is ready for the model."""

    work: Any
    """Known only to the pipeline."""
    tokens: int | None = None
    """Total tokens of its rows; None if the pipeline has no tokens."""
    padded: int | None = None
    """Tokens that the model computes, padding included, summed over its forward passes."""


class LoadedPipeline(Protocol):
    """A model in memory: a micro-batch is prepared, computed and answered.

    Each of the three steps may have its own thread, so that one batch is prepared while another is computed
    and a third is answered. Calls of one step never overlap.
    """

    info: PipelineInfo

    budget: int | None = None
    """Maximum padded tokens per forward pass, for a task that divides a batch into several."""

    steps: int = 0
    """Tokens that the last `compute` generated for the longest continuation; 0 if the task generates none."""

    writes_files: bool = False
    """Whether outputs may contain files although the task does not say so."""

    new_tokens: int = 0
    """Maximum new tokens per text if the job does not set it."""

    defaults: Mapping[str, Any] = MappingProxyType({})
    """Parameters from the model's own files; those of the models file and of a job take precedence."""

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """Checks, tokenises and pads a micro-batch. Raises InvalidRequest for a bad input or parameter."""
        ...

    def compute(self, prepared: Prepared) -> Any:
        """Runs the forward pass only; returns the argument of `answer`."""
        ...

    def answer(self, computed: Any) -> list[Any]:
        """Returns one output per input, in order, as plain Python values.

        An output that is not JSON is returned unchanged, and `encode_output` refuses it. An InvalidRequest in
        place of an output fails only its input, without running the others again.
        """
        ...

    def run(self, inputs: list[Any], parameters: dict[str, Any]) -> list[Any]:
        """Runs the three steps in sequence. Raises what they raise."""
        return self.answer(self.compute(self.prepare(inputs, parameters)))

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """Returns inputs, short to long, and parameters for the warm-up; None if the pipeline has none."""
        ...

    def units(self, inputs: list[Any]) -> int:
        """The cost of a batch for which `prepare` reports no tokens; as in `worker/batching/lengths.py`."""
        if not all(isinstance(one, str) for one in inputs):
            return len(inputs)
        return max(len(text) // CHARS_PER_TOKEN + 1 for text in inputs) * len(inputs)


class PipelineClass(Protocol):
    """The class of a task's pipeline (`jobs.tasks.Task.pipeline`)."""

    def open(self, spec: ModelSpec, source: Path | None) -> LoadedPipeline:
        """Loads the model into memory; see `pipelines.load`."""
        ...


class ComparablePipeline(LoadedPipeline):
    """A pipeline whose answers can be compared with those of another dtype (`worker/engine/agreement.py`)."""

    compared_with: ClassVar[dict[str, Any]] = {}
    """The parameters of the comparison."""
    compared_texts: ClassVar[int | None] = None
    """Maximum number of held-out inputs to compare; None: all."""
    has_vectors: ClassVar[bool] = False
    """Whether answers are compared by direction; otherwise they are decisions, which must be equal."""

    def question(self, one: Any) -> Any:
        """Turns a held-out text into an input of the task. Media are inputs already."""
        return one

    def compared(self, output: Any) -> Any:
        """An output's decisions (words or scores), or its vectors as an array [tokens, dimensions]."""
        raise NotImplementedError
