"""StagedPipeline: tasks whose inputs are not rows of tokens, as images and sounds.

Each input is decoded and preprocessed by itself, several at once in threads of low priority, while the batch
before computes. Rows of the same shape then share a forward pass, so no row is padded for its neighbours and
a batch cannot change an answer. For models whose rows influence each other all the same, a trial run finds
it, and each row gets a pass of its own. The steps are those of `transformers.pipeline`: preprocess, forward,
postprocess.
"""

import contextlib
import logging
import math
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from worker.engine import threads
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint, open_checkpoint
from worker.engine.pipelines.interface import LoadedPipeline, PipelineInfo, Prepared
from worker.engine.pipelines.parallel import Lanes
from worker.engine.pipelines.tensors import agree, in_memory, joined, row_of

logger = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]

NICENESS = 5
"""Added to the threads that preprocess, so that they take the time that the model leaves."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a forward pass. An input has one, or several, such as the windows of a long recording."""

    tensors: Tensors
    """The model's inputs, [1, ...] each."""
    about: Any = None
    """What the output needs besides the model's answer, such as the size of the picture."""
    units: float = 1
    """What the row costs the model, in the units of the budget."""
    alone: bool = False
    """Whether other rows of its pass could change the model's answer."""

    @property
    def shape(self) -> Hashable:
        return tuple((name, tensor.shape[1:], tensor.dtype) for name, tensor in self.tensors.items())


@dataclass(frozen=True, slots=True)
class Pass:
    """Rows that go through the model together."""

    places: list[int]
    """Their positions among all rows of the batch."""
    tensors: Tensors
    """[rows, ...] each."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch."""

    rows: list[list[Row] | InvalidRequest]
    """For each input its rows, or why it cannot be run."""
    passes: list[Pass]
    options: Any
    """What `_options` returned."""


class StagedPipeline(LoadedPipeline, ABC):
    """A LoadedPipeline with rows of fixed shapes. A bad input fails alone; the others do not run again."""

    architecture: ClassVar[Architecture]
    """What its checkpoints must have."""
    has_lanes: ClassVar[bool] = False
    """Whether passes may run at once, each on one core: the model keeps nothing between operations."""

    @classmethod
    def open(cls, spec: ModelSpec, source: Path | None) -> Self:
        """See PipelineClass. Raises ConfigurationError if a trial run fails."""
        pipeline = cls(spec, open_checkpoint(spec, source, cls.architecture))
        with torch.inference_mode():
            pipeline._try_out()
        return pipeline

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        self.spec = spec
        self.limits = spec.limits
        self.model, self.processor, self.device = checkpoint.model, checkpoint.processor, checkpoint.device
        self.info = PipelineInfo(str(checkpoint.device), spec.dtype, max_length=None, tokenizer_file=None)
        self.shares_passes = True
        """Whether rows of one shape may share a pass."""
        self._lanes: Lanes | None = None
        if self.has_lanes:
            self._start_lanes()
        self._pool = ThreadPoolExecutor(threads.cores(), "preprocess", initializer=_begin_preprocessing)

    def _start_lanes(self) -> None:
        # remote code may change its modules while they compute
        if self.device.type == "cpu" and not self.spec.trust_remote_code:
            self._lanes = Lanes(torch.get_num_threads())
            self._set_info(lanes=self._lanes.count)

    def _set_info(self, **changes: Any) -> None:
        self.info = replace(self.info, **changes)

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """See LoadedPipeline."""
        options = self._options(parameters)
        if len(inputs) == 1:
            found = [self._rows_or_refusal(inputs[0], options)]
        else:
            found = list(self._pool.map(lambda one: self._rows_or_refusal(one, options), inputs))
        rows = [row for each in found if isinstance(each, list) for row in each]
        return Prepared(Batch(found, self._passes(rows), options))

    def compute(self, prepared: Prepared) -> tuple[Batch, list[Any]]:
        """See LoadedPipeline. Returns the model's answer for each row, with [1, ...] in each tensor."""
        batch: Batch = prepared.work

        def run(one: Pass) -> list[Any]:
            output = in_memory(self._forward(self._on_device(one.tensors), batch.options))
            return self._divided(output, len(one.places))

        if self._lanes and len(batch.passes) > 1 and self._runs_in_lanes(batch.options):
            parts = self._lanes.run(batch.passes, run)
        else:
            with torch.inference_mode():
                parts = list(map(run, batch.passes))
        answers: dict[int, Any] = {}
        for one, each in zip(batch.passes, parts, strict=True):
            answers.update(zip(one.places, each, strict=True))
        return batch, [answers[place] for place in range(len(answers))]

    def answer(self, computed: tuple[Batch, list[Any]]) -> list[Any]:
        """See LoadedPipeline."""
        batch, answers = computed
        outputs: list[Any] = []
        used = 0
        with torch.inference_mode():
            for rows in batch.rows:
                if isinstance(rows, InvalidRequest):
                    outputs.append(rows)
                    continue
                outputs.append(self._output_or_refusal(rows, answers[used : used + len(rows)], batch.options))
                used += len(rows)
        return outputs

    def units(self, inputs: list[Any]) -> int:
        """See LoadedPipeline."""
        return len(inputs)

    def _options(self, parameters: dict[str, Any]) -> Any:
        """Returns the parameters in the form that the steps need. Raises InvalidRequest."""
        return parameters

    @abstractmethod
    def _rows(self, one: Any, options: Any) -> list[Row]:
        """Decodes and preprocesses one input, at least to one row. Raises InvalidRequest.

        Runs in several threads at once.
        """

    def _forward(self, tensors: Tensors, options: Any) -> Any:
        """Runs rows of one shape through the model; the tensors of the answer have one entry for each row."""
        return self.model(**tensors)

    def _runs_in_lanes(self, options: Any) -> bool:
        """Whether passes with these options leave the model as it is while they compute."""
        return True

    def _divided(self, output: Any, count: int) -> list[Any]:
        """Returns the answer for each of the `count` rows of a pass."""
        return [row_of(output, at, count) for at in range(count)]

    @abstractmethod
    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        """Returns the output of one input from the model's answers for its rows. May raise InvalidRequest.

        The answers are on the CPU, and in float32 whatever the model's dtype, as NumPy has no bfloat16.
        """

    def _trial(self) -> tuple[list[Any], dict[str, Any]] | None:
        """Returns inputs with rows of one shape, and parameters, for the trial run; None: no trial."""
        return None

    def _try_out(self) -> None:
        """Runs rows alone and together. If the answers differ, each row gets a pass of its own."""
        trial = self._trial()
        if trial is None:
            return
        lanes, self._lanes = self._lanes, None  # which would run them apart
        try:
            self._compare(*trial)
        finally:
            self._lanes = lanes

    def _compare(self, inputs: list[Any], parameters: dict[str, Any]) -> None:
        """Sets `shares_passes`. Raises ConfigurationError if rows cannot run alone."""
        try:
            options = self._options(parameters)
            rows = [row for one in inputs for row in self._rows(one, options)]
            alone = [answer for row in rows for answer in self._answers([row], options)]
        except Exception as error:
            raise ConfigurationError(f"model {self.spec.name!r}: a trial run failed: {error}") from error
        try:
            together = self._answers(rows, options)
            tolerance = 1e-4 if self.model.dtype == torch.float32 else 0.1
            self.shares_passes = all(
                agree(one, other, tolerance) for one, other in zip(alone, together, strict=True)
            )
        except Exception as error:  # a model that takes one row may raise anything
            logger.debug("model %s: rows cannot share a pass: %s", self.spec.name, error)
            self.shares_passes = False
        if not self.shares_passes:
            logger.warning(
                "model %s: batching changes its answers, so inputs run one at a time", self.spec.name
            )

    def _answers(self, rows: list[Row], options: Any) -> list[Any]:
        return self.compute(Prepared(Batch([rows], self._passes(rows), options)))[1]

    def _output_or_refusal(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        try:
            return self._output(rows, answers, options)
        except InvalidRequest as error:
            return error

    def _rows_or_refusal(self, one: Any, options: Any) -> list[Row] | InvalidRequest:
        try:
            with torch.inference_mode():
                return self._rows(one, options)
        except InvalidRequest as error:
            return error

    def _passes(self, rows: Sequence[Row]) -> list[Pass]:
        """Rows of one shape, in parts that fit into the budget, and enough parts for the lanes."""
        alike: dict[Hashable, list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(place if row.alone or not self.shares_passes else row.shape, []).append(place)
        lanes = max(1, self._lanes.count // len(alike)) if self._lanes and alike else 1
        parts: list[list[int]] = []
        for places in alike.values():
            most, used, part = min(-(-len(places) // lanes), self.spec.max_batch_items), 0.0, list[int]()
            for place in places:
                used += rows[place].units
                if not part or used > (self.budget or math.inf) or len(part) >= most:
                    part, used = [], rows[place].units
                    parts.append(part)
                part.append(place)
        return [Pass(part, joined([rows[place].tensors for place in part])) for part in parts]

    def _on_device(self, tensors: Tensors) -> Tensors:
        return {
            name: tensor.to(self.device, self.model.dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in tensors.items()
        }


def _begin_preprocessing() -> None:
    threads.use_one_thread()
    with contextlib.suppress(OSError, AttributeError):  # only Linux has a niceness for each thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
