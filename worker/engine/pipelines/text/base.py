"""Shared by the tasks on text: checks inputs, and checks before use that sharing a pass changes no answers.

Tokenising, packing or padding, and splitting are done here. The rest is transformers' own pre- and
postprocessing, item by item: its own batching leaves padding in the answers of some tasks, and refuses
tokenizers without a padding token.
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
"""How texts share a forward pass: concatenated, as one rectangle, or not at all."""

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
"""About 16, 32 and 128 tokens: typical texts, from a title to a paragraph."""


class TextPipeline(ComparablePipeline, ABC):
    """A LoadedPipeline around `transformers.pipeline`."""

    architecture: ClassVar[Architecture]
    """What its checkpoints must have."""
    postprocessing: ClassVar[str] = ""
    """The transformers task whose pre- and postprocessing it uses; empty if it has its own."""
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
        # `prepare` may change the truncation while `answer` decodes
        self._tokenizing = threading.Lock()
        self.layout: Layout = "alone"
        with torch.inference_mode():
            self.layout = self._find_layout()
        self.info = replace(self.info, packs=self.layout == "packed")
        if self.layout == "alone":
            logger.warning("model %s: batching changes its answers, so texts run one at a time", spec.name)

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
        """Checks that an input can be run. Raises InvalidRequest."""
        if not isinstance(one, str):
            raise InvalidRequest(f"an input must be a text, not {type(one).__name__}")
        if not one:
            raise InvalidRequest("the text is empty")

    @abstractmethod
    def _prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """Returns the inputs as tensors, with everything that `_answer` needs."""

    @abstractmethod
    def _compute(self, work: Any) -> Any:
        """Runs the forward pass."""

    @abstractmethod
    def _answer(self, computed: Any) -> list[Any]:
        """Returns one output per text."""

    @abstractmethod
    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        """Returns the model's raw output for each text when they are one batch."""

    def _together(self, count: int) -> list[list[int]]:
        """Returns the indices of the rows that may share a forward pass."""
        return [[row] for row in range(count)] if self.layout == "alone" else [list(range(count))]

    def _staged(self, tensor: torch.Tensor) -> torch.Tensor:
        """Returns the tensor in memory that the device can read asynchronously."""
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def _on_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, non_blocking=True)

    def _postprocess_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        _, _, postprocess = self.pipeline._sanitize_parameters(**parameters)
        return {**self.pipeline._postprocess_params, **postprocess}

    def _layouts(self) -> Iterator[Layout]:
        """The layouts to try, the fastest first. The next is requested if one changes answers."""
        yield "padded"

    def _find_layout(self) -> Layout:
        """Returns the first layout with which long and short neighbours do not change the model's output.

        "padded" fails if a model mixes positions regardless of the mask (FNet), or finds a text's end by a
        padding token that it does not have (GPT-2 as a classifier).
        """
        mask = self.tokenizer.mask_token  # ESM-2 expects one in every text
        texts = [f"{mask} {SAMPLES[0]}" if mask else SAMPLES[0], SAMPLES[-1]]
        try:
            alone = [self._predict([text])[0].float() for text in texts]
        except Exception as error:
            raise ConfigurationError(f"model {self.name!r}: a trial run failed: {error}") from error
        for layout in self._layouts():
            self.layout = layout
            try:
                together = [row.float() for row in self._predict(texts)]
                if all(map(self._agree, alone, together)):
                    return layout
                logger.debug("model %s: %s texts change each other's answers", self.name, layout)
            except Exception as error:  # a model that expects other shapes may raise anything
                logger.debug("model %s: texts cannot be %s: %s", self.name, layout, error)
        return "alone"

    def _agree(self, one: torch.Tensor, other: torch.Tensor) -> bool:
        tolerance = 1e-4 if self.info.dtype == "float32" else 0.1
        return one.shape == other.shape and (
            float((one - other).abs().max()) <= tolerance * float(one.abs().max()) + 1e-6
        )
