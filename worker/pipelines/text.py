"""What the tasks on text share: their inputs are checked, run in one forward pass, and split again.

Tokenising, padding and splitting are done here and the rest is transformers' own pre- and
postprocessing, item by item: its own batching leaves padding in the answers of some tasks, and
refuses tokenizers without a padding token.
"""

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from worker.pipelines.checkpoint import Checkpoint
from worker.pipelines.interface import PipelineInfo
from worker.pipelines.padding import pad_right

logger = logging.getLogger(__name__)

Encoding = Mapping[str, list[Any]]
"""The tokenizer's answer for several texts, not padded: name -> one list per text."""

SAMPLES = (
    "A short text.",
    "The parcel arrived on Tuesday, a day early and in good order.",
    "The committee met in the old town hall and spoke for most of the evening about the bridge, which "
    "had been closed since the spring; in the end it was agreed to ask two engineers for an opinion "
    "and to meet again in the first week of the new year, when their reports would be at hand.",
)


class TextPipeline(ABC):
    """A LoadedPipeline around `transformers.pipeline`."""

    warm_up_parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        self.name = spec.name
        self.model = checkpoint.model
        self.tokenizer = checkpoint.tokenizer
        self.max_batch_items = spec.max_batch_items
        self.pipeline: Any = transformers.pipeline(
            spec.task,  # type: ignore[call-overload]
            model=self.model,
            tokenizer=self.tokenizer,
            device=checkpoint.device,
        )
        self.info = PipelineInfo(
            device=str(checkpoint.device),
            dtype=spec.dtype,
            max_length=checkpoint.max_length,
            tokenizer_file=checkpoint.tokenizer_file,
        )
        with torch.inference_mode():
            self.padding_is_harmless = self._padding_is_harmless()
        if not self.padding_is_harmless:
            logger.warning("model %s: padding changes its answers, so texts run one by one", spec.name)

    def run(self, inputs: list[Any], parameters: dict[str, Any]) -> list[Any]:
        """See LoadedPipeline."""
        for text in inputs:
            if not isinstance(text, str):
                raise InvalidRequest(f"an input must be a text, not {type(text).__name__}")
            if not text:
                raise InvalidRequest("the text is empty")
        with torch.inference_mode():
            if self.padding_is_harmless:
                return self._answer(inputs, parameters)
            return [self._answer([text], parameters)[0] for text in inputs]

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return list(SAMPLES), dict(self.warm_up_parameters)

    @abstractmethod
    def _answer(self, texts: list[str], parameters: dict[str, Any]) -> list[Any]:
        """One output per text, from one forward pass."""

    @abstractmethod
    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        """What the model itself says of each text when they are one batch."""

    def _postprocess_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        _, _, postprocess = self.pipeline._sanitize_parameters(**parameters)
        return {**self.pipeline._postprocess_params, **postprocess}

    def _padding_is_harmless(self) -> bool:
        """Whether a long neighbour leaves the model's word on a short text alone, and the other way round.

        It doesn't where a model mixes positions without regard to the mask (FNet), or finds a text's
        end by a padding token that it doesn't have (GPT-2 as a classifier).
        """
        texts = [SAMPLES[0], SAMPLES[-1]]
        try:
            alone = [self._predict([text])[0].float() for text in texts]
        except Exception as error:
            raise ConfigurationError(f"model {self.name!r}: a first try failed: {error}") from error
        try:
            together = [row.float() for row in self._predict(texts)]
        except (ValueError, RuntimeError):
            return False
        tolerance = 1e-4 if self.model.dtype == torch.float32 else 0.1
        return all(
            float((one - other).abs().max()) <= tolerance * float(one.abs().max()) + 1e-6
            for one, other in zip(alone, together, strict=True)
        )


class EncoderPipeline(TextPipeline):
    """A task that takes one look at each text, cut to what the model reads."""

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        takes_cache = "use_cache" in inspect.signature(checkpoint.model.forward).parameters
        self._forward_options = {"use_cache": False} if takes_cache else {}
        super().__init__(spec, checkpoint)

    def _encode(self, texts: list[str], **options: Any) -> Encoding:
        encoding: Encoding = self.tokenizer(texts, truncation=self.info.max_length is not None, **options)
        return encoding

    def _forward(self, encoding: Encoding) -> list[torch.Tensor]:
        """The model's first output, on the CPU: [labels] or [tokens, ...] for each text, without padding."""
        lengths = [len(ids) for ids in encoding["input_ids"]]
        if min(lengths) == 0:
            raise InvalidRequest("the text has nothing in it that the tokenizer knows")
        inputs = {
            name: pad_right(encoding[name], self._padding_value(name)).to(self.info.device)
            for name in self.tokenizer.model_input_names
            if name in encoding
        }
        output = self.model(**inputs, **self._forward_options)[0].cpu()
        if output.ndim == 2:
            return list(output)
        return [row[:length] for row, length in zip(output, lengths, strict=True)]

    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        return self._forward(self._encode(texts))

    def _padding_value(self, name: str) -> int:
        if name != "input_ids":
            return 0
        # The model may tell padding by its own configuration, not by the tokenizer's.
        for token in (self.model.config.get_text_config().pad_token_id, self.tokenizer.pad_token_id):
            if token is not None:
                return int(token)
        return 0
