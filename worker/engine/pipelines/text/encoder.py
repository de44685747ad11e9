"""Shared by the tasks with one forward pass per text: tokens -> forward passes -> rows of numbers."""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from types import SimpleNamespace
from typing import Any, ClassVar

import torch

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Checkpoint, first_position, has_length_dependent_rope
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.parallel import MIN_TOKENS, Lanes, Size, divide
from worker.engine.pipelines.text import packing
from worker.engine.pipelines.text.base import SAMPLES, Layout, TextPipeline
from worker.engine.pipelines.text.onnx import extra
from worker.engine.pipelines.text.onnx.export import export
from worker.engine.pipelines.text.onnx.graph import MAX_PACKED_TOKENS, Graph, pads_little
from worker.engine.pipelines.text.padding import pad_right

Encoding = Mapping[str, list[Any]]
"""The tokenizer's result for several texts, not padded: name -> one list per row."""

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Pass:
    """Rows that go through the model together."""

    rows: list[int]
    """Their indices in the micro-batch."""
    tensors: Tensors
    """The model's inputs: [rows, longest], or [1, tokens] with concatenated rows."""
    lengths: list[int]
    packed: bool
    """Whether the rows are concatenated."""


@dataclass(frozen=True)
class Rows:
    """One micro-batch: its rows, divided into forward passes."""

    inputs: list[Any]
    encoding: Encoding
    passes: list[Pass]
    options: dict[str, Any]
    """Options of the postprocessing."""


@dataclass(frozen=True)
class Predicted:
    """The model's first output for each row, on the CPU: [labels] or [tokens, ...], without padding."""

    rows: Rows
    outputs: list[torch.Tensor]


class EncoderPipeline(TextPipeline):
    """A task with one forward pass per text, which is truncated to the model's limit."""

    reads_first_tokens: ClassVar[bool] = False
    """Whether the task's models use only each text's first token after the last layer, as most do."""

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        takes = inspect.signature(checkpoint.model.forward).parameters
        self._forward_options = {"use_cache": False} if "use_cache" in takes else {}
        self._takes_positions = "position_ids" in takes
        self._first_position = first_position(checkpoint.model)
        self._graph: Graph | None = None
        """The model in ONNX Runtime, if that computes it instead of torch."""
        super().__init__(spec, checkpoint)
        # remote code may change its modules while they compute
        parallel = not (spec.trust_remote_code or has_length_dependent_rope(checkpoint.model))
        on_cpu = checkpoint.device.type == "cpu"
        self._lanes = Lanes(torch.get_num_threads()) if on_cpu and parallel else None
        if self._lanes:
            self.info = replace(self.info, lanes=self._lanes.count)
        if spec.backend == "onnxruntime":
            with torch.inference_mode():
                self._use_onnxruntime(spec)

    @abstractmethod
    def _answer(self, computed: Predicted) -> list[Any]:
        """Returns one output per text."""

    def _prepare(self, texts: list[str], parameters: dict[str, Any]) -> Prepared:
        options = self._postprocess_parameters(parameters)
        return self._rows(texts, self._encode(texts), options)

    def _encode(self, texts: list[str], *pairs: list[str], **options: Any) -> Encoding:
        cut = self.info.max_length is not None
        encoding: Encoding = self.tokenizer(texts, *pairs, truncation=cut, **options)
        return encoding

    def _rows(self, inputs: list[Any], encoding: Encoding, options: dict[str, Any]) -> Prepared:
        lengths = [len(ids) for ids in encoding["input_ids"]]
        if min(lengths) == 0:
            raise InvalidRequest("the tokenizer finds no tokens in the text")
        passes = [self._pass(encoding, part) for part in self._parts(lengths)]
        computed = sum(one.tensors["input_ids"].numel() for one in passes)
        return Prepared(Rows(inputs, encoding, passes, options), sum(lengths), computed)

    def _layouts(self) -> Iterator[Layout]:
        # the trial texts are too short to show the effect
        if has_length_dependent_rope(self.model):
            return
        # A GPU needs one large kernel; one attention call per length would be many small ones.
        if self.device.type == "cpu" and self._takes_positions:
            undo = packing.make_ready(self.model, first_tokens=self.reads_first_tokens)
            if undo is not None:
                yield "packed"
                undo()
        yield from super()._layouts()

    def _parts(self, lengths: list[int]) -> list[list[int]]:
        """Decides which rows share a forward pass."""
        if self.layout == "alone":
            return self._together(len(lengths))
        count = self._lanes.count if self._lanes and sum(lengths) >= self._lanes.count * MIN_TOKENS else 1

        def too_large(size: Size) -> bool:
            if self._graph is not None and size.tokens > MAX_PACKED_TOKENS and not pads_little(*size):
                return True
            cost = size.tokens if self.layout == "packed" else size.longest * size.rows
            return size.rows > self.max_batch_items or (self.budget is not None and cost > self.budget)

        return divide(lengths, count, too_large)

    def _pass(self, encoding: Encoding, part: list[int]) -> Pass:
        rows = {
            name: [encoding[name][row] for row in part]
            for name in self.tokenizer.model_input_names
            if name in encoding
        }
        lengths = [len(ids) for ids in rows["input_ids"]]
        if (
            self.layout == "packed"
            and len(set(lengths)) > 1
            and not self._has_no_positions(rows["input_ids"])
            and not (self._graph is not None and pads_little(len(lengths), sum(lengths), max(lengths)))
        ):
            first = self._first_position
            rows["position_ids"] = [range(first, first + length) for length in lengths]
            tensors = {name: torch.tensor([list(chain(*values))]) for name, values in rows.items()}
            return Pass(part, tensors, lengths, packed=True)
        tensors = {name: self._padded(name, values) for name, values in rows.items()}
        return Pass(part, tensors, lengths, packed=False)

    def _has_no_positions(self, rows: list[list[int]]) -> bool:
        """Whether a token within a row has no position: RoBERTa and related models skip padding ids."""
        return self._first_position > 0 and any(self._first_position - 1 in ids for ids in rows)

    def _padded(self, name: str, rows: list[Any]) -> torch.Tensor:
        return self._staged(pad_right(rows, self._padding_value(name)))

    def _compute(self, work: Rows) -> Predicted:
        if self._lanes and len(work.passes) > 1:
            parts = self._lanes.run(work.passes, self._run)
        else:
            parts = list(map(self._run, work.passes))
        numbered = sorted(
            (row, numbers)
            for one, outputs in zip(work.passes, parts, strict=True)
            for row, numbers in zip(one.rows, outputs, strict=True)
        )
        return Predicted(work, [numbers for _, numbers in numbered])

    def _run(self, one: Pass) -> list[torch.Tensor]:
        """Returns the model's first output for each row of a pass."""
        if self._graph is not None:
            output = self._graph.run(one.tensors, one.lengths, packed=one.packed)
        else:
            inputs = {name: self._on_device(tensor) for name, tensor in one.tensors.items()}
            with packing.packed(one.lengths) if one.packed else nullcontext():
                output = self._read(self.model(**inputs, **self._forward_options)).cpu()
        if output.ndim == 2:  # one for each row, not for each token
            return list(output)
        if one.packed:
            return list(torch.split(output[0], one.lengths))
        return [numbers[:length] for numbers, length in zip(output, one.lengths, strict=True)]

    def _read(self, output: Any) -> torch.Tensor:
        """Returns what the task reads of the model's output: [rows, labels] or [rows, tokens, ...]."""
        first: torch.Tensor = output[0]
        return first

    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        return self._run(self._pass(self._encode(texts), list(range(len(texts)))))

    def _use_onnxruntime(self, spec: ModelSpec) -> None:
        """Exports the model, compares its answers with torch's, and frees torch's weights.

        Raises ConfigurationError if the model cannot be run by ONNX Runtime.
        """
        extra.check(spec, self.device)
        if self.layout != "packed":
            raise extra.refusal(spec, "its texts cannot share a pass without padding")
        similar = (SAMPLES[0], SAMPLES[0].rpartition(" ")[0])  # padded, unlike all samples together
        groups = [SAMPLES[:1], SAMPLES[-1:], similar, SAMPLES]
        expected = [row for group in groups for row in self._predict(list(group))]
        sample = self._pass(self._encode([SAMPLES[0]] * 2), [0, 1]).tensors
        inputs = {name: tensor for name, tensor in sample.items() if name != "attention_mask"}
        first = self._first_position
        inputs["position_ids"] = torch.arange(first, first + sample["input_ids"].shape[1]).repeat(2, 1)
        try:
            content = export(
                self.model,
                inputs,
                self._read,
                first_tokens=self.reads_first_tokens,
                options=self._forward_options,
            )
            self._graph = Graph(content, torch.get_num_threads(), first)
            found = [row for group in groups for row in self._predict(list(group))]
        except Exception as error:  # the exporter may raise anything
            raise extra.refusal(spec, str(error).strip().partition("\n")[0][:200]) from error
        if not all(map(self._agree, expected, found)):
            raise extra.refusal(spec, "its answers are not those of torch")
        self.info = replace(self.info, backend="onnxruntime", pass_tokens=MAX_PACKED_TOKENS)
        # the postprocessing reads only the configuration
        self.model = SimpleNamespace(config=self.model.config)
        if self.postprocessing:
            self.pipeline.model = self.model

    def _padding_value(self, name: str) -> int:
        if name != "input_ids":
            return 0
        # The model may recognise padding by its own configuration, not by the tokenizer's.
        for token in (self.model.config.get_text_config().pad_token_id, self.tokenizer.pad_token_id):
            if token is not None:
                return int(token)
        return 0
