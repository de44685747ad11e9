"""What the tasks on text share: inputs are checked, and how texts share a pass is proven harmless before use.

Tokenising, packing or padding, and splitting are done here and the rest is transformers' own pre- and
postprocessing, item by item: its own batching leaves padding in the answers of some tasks, and
refuses tokenizers without a padding token.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint, open_checkpoint
from worker.engine.pipelines.interface import ComparablePipeline, PipelineInfo, Prepared

logger = logging.getLogger(__name__)

Layout = Literal["packed", "padded", "alone"]
"""How texts share a forward pass: end to end, as one rectangle, or not at all."""

SAMPLES = (
    "The parcel arrived on Tuesday, a day early and in good order.",
    "The road along the river was closed in winter, so we waited in the house of an old friend until the "
    "evening, when a boat came.",
    "The committee met in the old town hall and spoke for most of the evening about the bridge, which "
    "had been closed since the spring; in the end it was agreed to ask two engineers for an opinion "
    "and to meet again in the first week of the new year, when their reports would be at hand. The first "
    "of them wrote that the bridge could stand for another ten years if the three arches on the western "
    "side were mended. The second disagreed: the water had taken so much of the ground below that it "
    "would be cheaper to build another one, and the town was asked to choose.",
)
"""About 16, 32 and 128 tokens: what texts are, from a title to a paragraph."""


class TextPipeline(ComparablePipeline, ABC):
    """A LoadedPipeline around `transformers.pipeline`."""

    architecture: ClassVar[Architecture]
    """What its checkpoints must be."""
    postprocessing: ClassVar[str] = ""
    """The task of transformers whose pre- and postprocessing it uses; empty where it has its own."""
    warm_up_parameters: ClassVar[dict[str, Any]] = {}

    @classmethod
    def open(cls, spec: ModelSpec, source: Path | None) -> Self:
        """See PipelineClass."""
        return cls(spec, open_checkpoint(spec, source, cls.architecture))

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        self.name = spec.name
        self.model = checkpoint.model
        self.tokenizer = checkpoint.processor
        self.max_batch_items = spec.max_batch_items
        self.device = checkpoint.device
        if self.postprocessing:
            self.pipeline: Any = transformers.pipeline(
                self.postprocessing,  # type: ignore[call-overload]
                model=self.model,
                tokenizer=self.tokenizer,
                device=checkpoint.device,
            )
        self.info = PipelineInfo(
            device=str(checkpoint.device),
            dtype=spec.dtype,
            max_length=checkpoint.max_length,
            tokenizer_file=checkpoint.tokenizer_file,
            tokenizes=True,
        )
        self._tokenizing = (
            threading.Lock()
        )  # `prepare` may change how it truncates while `answer` reads words
        self.layout: Layout = "alone"
        with torch.inference_mode():
            self.layout = self._find_layout()
        self.info = replace(self.info, packs=self.layout == "packed")
        if self.layout == "alone":
            logger.warning("model %s: neighbours change its answers, so texts run one by one", spec.name)

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """See LoadedPipeline."""
        for one in inputs:
            self._check(one)
        with self._tokenizing:
            return self._prepare(inputs, parameters)

    def compute(self, prepared: Prepared) -> Any:
        """See LoadedPipeline."""
        with torch.inference_mode():
            return self._compute(prepared.work)

    def answer(self, computed: Any) -> list[Any]:
        """See LoadedPipeline."""
        with torch.inference_mode(), self._tokenizing:
            return self._answer(computed)

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return list(SAMPLES), dict(self.warm_up_parameters)

    def _check(self, one: Any) -> None:
        """Refuses an input that cannot be run. Raises InvalidRequest."""
        if not isinstance(one, str):
            raise InvalidRequest(f"an input must be a text, not {type(one).__name__}")
        if not one:
            raise InvalidRequest("the text is empty")

    @abstractmethod
    def _prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """The inputs as tensors, and all that `_answer` needs to know of them."""

    @abstractmethod
    def _compute(self, work: Any) -> Any:
        """The forward pass."""

    @abstractmethod
    def _answer(self, computed: Any) -> list[Any]:
        """One output per text."""

    @abstractmethod
    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        """What the model itself says of each text when they are one batch."""

    def _together(self, count: int) -> list[list[int]]:
        """The numbers of the rows that may share a forward pass."""
        return [[row] for row in range(count)] if self.layout == "alone" else [list(range(count))]

    def _staged(self, tensor: torch.Tensor) -> torch.Tensor:
        """Where the device can fetch it while the host goes on."""
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def _on_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, non_blocking=True)

    def _postprocess_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        _, _, postprocess = self.pipeline._sanitize_parameters(**parameters)
        return {**self.pipeline._postprocess_params, **postprocess}

    def _layouts(self) -> Iterator[Layout]:
        """How texts may share a pass, the fastest way first. The next is asked for when one was no good."""
        yield "padded"

    def _find_layout(self) -> Layout:
        """The first way in which long and short neighbours leave the model's word on each other alone.

        A rectangle doesn't where a model mixes positions without regard to the mask (FNet), or finds a text's
        end by a padding token that it doesn't have (GPT-2 as a classifier).
        """
        mask = self.tokenizer.mask_token  # ESM-2 looks for it in all that it is given
        texts = [f"{mask} {SAMPLES[0]}" if mask else SAMPLES[0], SAMPLES[-1]]
        try:
            alone = [self._predict([text])[0].float() for text in texts]
        except Exception as error:
            raise ConfigurationError(f"model {self.name!r}: a first try failed: {error}") from error
        for layout in self._layouts():
            self.layout = layout
            try:
                together = [row.float() for row in self._predict(texts)]
                if all(map(self._alike, alone, together)):
                    return layout
                logger.debug("model %s: %s texts change each other's answers", self.name, layout)
            except Exception as error:  # whatever a model does that expects other shapes
                logger.debug("model %s: texts cannot be %s: %s", self.name, layout, error)
        return "alone"

    def _alike(self, one: torch.Tensor, other: torch.Tensor) -> bool:
        tolerance = 1e-4 if self.info.dtype == "float32" else 0.1
        return one.shape == other.shape and (
            float((one - other).abs().max()) <= tolerance * float(one.abs().max()) + 1e-6
        )
