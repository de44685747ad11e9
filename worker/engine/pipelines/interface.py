"""What the engine sees of a pipeline, whatever is behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from jobs.models import ModelSpec
from worker.engine.protocol import CHARS_PER_TOKEN


@dataclass(frozen=True)
class PipelineInfo:
    """What a loaded pipeline says of itself."""

    device: str
    dtype: str
    max_length: int | None
    """Tokens of one text that the model reads; longer ones are cut. None: no such limit is known."""
    tokenizer_file: str | None
    """Path of `tokenizer.json`, to measure texts elsewhere; it may ask for truncation and padding."""
    tokenizes: bool = False
    """Whether inputs are turned into tokens, so that a batch of them may have padding."""
    packs: bool = False
    """Whether texts of different lengths share a forward pass without padding."""
    lanes: int = 1
    """Forward passes that a large batch is dealt out to."""


@dataclass(frozen=True)
class Prepared:
    """A micro-batch that only waits for the model."""

    work: Any
    """The pipeline's own."""
    tokens: int | None = None
    """The sum of its rows' lengths, in tokens; None where the pipeline has no tokens."""
    padded: int | None = None
    """What the model computes, padding and all, summed over its forward passes."""


class LoadedPipeline(Protocol):
    """A model in memory: a micro-batch is prepared, computed and answered.

    Each of the three steps may have a thread of its own, so that one batch is prepared while another is
    computed and a third is answered; no step is called twice at a time.
    """

    info: PipelineInfo

    budget: int | None = None
    """Padded tokens that one forward pass should take at most, for a task that makes several of one batch."""

    steps: int = 0
    """Tokens that the last `compute` generated for the text that got most; 0 where a task generates none."""

    new_tokens: int = 0
    """Tokens that a text gets at most where its job does not say."""

    defaults: Mapping[str, Any] = MappingProxyType({})
    """Parameters that the model's own files ask for; the models file's and a job's come before them."""

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """Checks, tokenises and pads one micro-batch. InvalidRequest: an input or a parameter is at fault."""
        ...

    def compute(self, prepared: Prepared) -> Any:
        """The forward pass, and nothing else; its result is for `answer`."""
        ...

    def answer(self, computed: Any) -> list[Any]:
        """One output per input, in order, of plain Python values.

        An output that is not JSON comes back as it is, for `encode_output` to refuse. An InvalidRequest in
        an output's place fails its input alone: the others need not run again to find it.
        """
        ...

    def run(self, inputs: list[Any], parameters: dict[str, Any]) -> list[Any]:
        """The three steps, one after the other. Raises what they raise."""
        return self.answer(self.compute(self.prepare(inputs, parameters)))

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """Inputs, short to long, and parameters to warm up with; None if the pipeline gives none."""
        ...

    def units(self, inputs: list[Any]) -> int:
        """The cost of a batch of which `prepare` has no tokens, as `worker/batching/lengths.py` counts it."""
        if not all(isinstance(one, str) for one in inputs):
            return len(inputs)
        return max(len(text) // CHARS_PER_TOKEN + 1 for text in inputs) * len(inputs)


class PipelineClass(Protocol):
    """The class of a task's pipeline (`jobs.tasks.Task.pipeline`)."""

    def open(self, spec: ModelSpec, source: Path | None) -> LoadedPipeline:
        """Loads the model into memory, as `pipelines.load` says."""
        ...


class ComparablePipeline(LoadedPipeline):
    """A pipeline whose answers can be compared with those of another dtype (`worker/engine/agreement.py`)."""

    compared_with: ClassVar[dict[str, Any]] = {}
    """The parameters of the comparison."""
    compared_texts: ClassVar[int | None] = None
    """Held-out texts that are compared, at most; None is all of them."""
    has_vectors: ClassVar[bool] = False
    """Whether answers are compared by their direction; else they are decisions, which must be equal."""

    def question(self, text: str) -> Any:
        """A held-out text as an input of the task."""
        return text

    def compared(self, output: Any) -> Any:
        """Of an output, its decisions (words or scores), or its vectors as an array [tokens, dimensions]."""
        raise NotImplementedError
