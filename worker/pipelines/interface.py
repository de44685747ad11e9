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


class LoadedPipeline(Protocol):
    """A model in memory."""

    info: PipelineInfo

    def run(self, inputs: list[Any], parameters: dict[str, Any]) -> list[Any]:
        """Runs the inputs as one micro-batch: one output per input, in order, of plain Python values.

        An output that is not JSON comes back as it is, for `encode_output` to refuse. Raises if the
        batch can't be run; InvalidRequest where the input or a parameter is at fault.
        """
        ...

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """Inputs, short to long, and parameters to warm up with; None if the pipeline gives none."""
        ...
