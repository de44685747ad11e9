"""What the tasks share that take one look at each text: tokens -> forward passes -> rows of numbers."""

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from worker.pipelines.checkpoint import Checkpoint
from worker.pipelines.interface import Prepared
from worker.pipelines.padding import pad_right
from worker.pipelines.text import TextPipeline

Encoding = Mapping[str, list[Any]]
"""The tokenizer's answer for several texts, not padded: name -> one list per row."""

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Rows:
    """One micro-batch: its rows, dealt out to forward passes."""

    texts: list[str]
    encoding: Encoding
    passes: list[tuple[list[int], Tensors]]
    """Numbers of rows, and these rows padded to one rectangle for each of the model's inputs."""
    options: dict[str, Any]
    """What the postprocessing is told."""


@dataclass(frozen=True)
class Predicted:
    """The model's first output for each row, on the CPU: [labels] or [tokens, ...], without padding."""

    rows: Rows
    outputs: list[torch.Tensor]


class EncoderPipeline(TextPipeline):
    """A task that takes one look at each text, cut to what the model reads."""

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        takes_cache = "use_cache" in inspect.signature(checkpoint.model.forward).parameters
        self._forward_options = {"use_cache": False} if takes_cache else {}
        super().__init__(spec, checkpoint)

    @abstractmethod
    def _answer(self, computed: Predicted) -> list[Any]:
        """One output per text."""

    def _prepare(self, texts: list[str], parameters: dict[str, Any]) -> Prepared:
        options = self._postprocess_parameters(parameters)
        return self._rows(texts, self._encode(texts), options)

    def _encode(self, texts: list[str], **options: Any) -> Encoding:
        encoding: Encoding = self.tokenizer(texts, truncation=self.info.max_length is not None, **options)
        return encoding

    def _rows(self, texts: list[str], encoding: Encoding, options: dict[str, Any]) -> Prepared:
        lengths = [len(ids) for ids in encoding["input_ids"]]
        if min(lengths) == 0:
            raise InvalidRequest("the text has nothing in it that the tokenizer knows")
        parts = self._parts(lengths)
        passes = [(part, self._padded(encoding, part)) for part in parts]
        padded = sum(max(lengths[row] for row in part) * len(part) for part in parts)
        return Prepared(Rows(texts, encoding, passes, options), sum(lengths), padded)

    def _parts(self, lengths: list[int]) -> list[list[int]]:
        """Which rows share a forward pass."""
        return self._together(len(lengths))

    def _padded(self, encoding: Encoding, part: list[int]) -> Tensors:
        return {
            name: self._staged(pad_right([encoding[name][row] for row in part], self._padding_value(name)))
            for name in self.tokenizer.model_input_names
            if name in encoding
        }

    def _compute(self, work: Rows) -> Predicted:
        ids = work.encoding["input_ids"]
        outputs: dict[int, torch.Tensor] = {}
        for part, tensors in work.passes:
            inputs = {name: self._on_device(tensor) for name, tensor in tensors.items()}
            output = self.model(**inputs, **self._forward_options)[0].cpu()
            for row, numbers in zip(part, output, strict=True):
                outputs[row] = numbers if output.ndim == 2 else numbers[: len(ids[row])]
        return Predicted(work, [outputs[row] for row in range(len(ids))])

    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        return self._compute(self._rows(texts, self._encode(texts), {}).work).outputs

    def _padding_value(self, name: str) -> int:
        if name != "input_ids":
            return 0
        # The model may tell padding by its own configuration, not by the tokenizer's.
        for token in (self.model.config.get_text_config().pad_token_id, self.tokenizer.pad_token_id):
            if token is not None:
                return int(token)
        return 0
