"""What the engine sees of a pipeline, whatever is behind it."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class PipelineInfo:
    """What a loaded pipeline says of itself."""

    device: str
    dtype: str
    max_length: int | None
    """Tokens of one text that the model reads; longer ones are cut. None: no such limit is known."""
    tokenizer_file: str | None
    """Path of `tokenizer.json`, to measure texts elsewhere; it may ask for truncation and padding."""
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

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """Checks, tokenises and pads one micro-batch. InvalidRequest: an input or a parameter is at fault."""
        ...

    def compute(self, prepared: Prepared) -> Any:
        """The forward pass, and nothing else; its result is for `answer`."""
        ...

    def answer(self, computed: Any) -> list[Any]:
        """One output per input, in order, of plain Python values.

        An output that is not JSON comes back as it is, for `encode_output` to refuse.
        """
        ...

    def run(self, inputs: list[Any], parameters: dict[str, Any]) -> list[Any]:
        """The three steps, one after the other. Raises what they raise."""
        return self.answer(self.compute(self.prepare(inputs, parameters)))

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """Inputs, short to long, and parameters to warm up with; None if the pipeline gives none."""
        ...
