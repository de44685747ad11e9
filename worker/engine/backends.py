"""`backend = "auto"`: ONNX Runtime instead of torch, if it is faster here and its answers agree.

A lone text and full batches are raced, because both matter: one client waits for the former, many clients
for the latter. Only text encoders in float32 on a CPU can be run by both.
"""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jobs.models import ModelSpec
from worker.engine import held_out, pipelines, race
from worker.engine.agreement import Examination, OutOfTime
from worker.engine.dtypes import TIME_SHARE, Choice
from worker.engine.pipelines import ComparablePipeline, LoadedPipeline
from worker.engine.pipelines.text.onnx import extra

MIN_GAIN = 1.05
"""The geometric mean of both speeds, as multiples of torch's, must be at least this."""

MIN_SPEED = 0.9
"""Neither speed may be below this multiple of torch's."""

MIN_COSINE = 0.99999
"""The lowest cosine similarity allowed between vectors of both backends in float32. All decisions must be
equal."""

TEXTS = 48
"""Held-out texts to compare: in float32 a graph is right or wrong, so fewer suffice than for a dtype."""

BATCH_TOKENS = 512
"""Tokens of a batch, in characters as `Examination` counts them."""

LONE_TEXTS, BATCHES = 4, 2
"""How many of all lengths are raced."""

LONE_RUNS, BATCH_RUNS = 16, 6
"""Runs of each; the best counts. On a busy machine, a few runs of a lone text may all be disturbed."""


class Speed(NamedTuple):
    """Multiples of torch's speed."""

    lone: float
    batches: float

    @property
    def wins(self) -> bool:
        return min(self) >= MIN_SPEED and math.sqrt(self.lone * self.batches) >= MIN_GAIN

    def __str__(self) -> str:
        return f"onnxruntime {self.lone:.2f} times torch for a lone text, {self.batches:.2f} in batches"


def without_race(spec: ModelSpec) -> str:
    """Returns the backend of a model if it is known before loading; otherwise an empty text."""
    if spec.backend != "auto":
        return spec.backend
    return "" if extra.can_race(spec) else "torch"


def choose(
    spec: ModelSpec, source: Path | None, torch: LoadedPipeline, chosen: Choice
) -> tuple[LoadedPipeline, Choice]:
    """Returns the faster of two pipelines and the reason: the given one, in `chosen.dtype`, and ONNX Runtime.

    The given one also if the model cannot be exported, its answers do not agree, or time runs out.
    """
    if torch.info.device != "cpu":
        return torch, chosen
    assert isinstance(torch, ComparablePipeline)  # Task.onnx is set for these only
    comparison = Comparison(spec, torch)
    settled = True
    try:
        onnx = load(spec, source)
        speed = comparison.speed(onnx)
        verdict = f"{speed}"
        if speed.wins:
            agreement = comparison.agreement(onnx)
            verdict += f", agreement {agreement:.6f}"
            if agreement >= comparison.threshold:
                return onnx, _chosen(chosen, "onnxruntime", verdict)
            verdict += ": refused"
    except OutOfTime:
        verdict, settled = "onnxruntime not judged in time", False
    except Exception as error:  # also what the held-out texts make torch raise; `auto` never fails a start
        verdict = f"onnxruntime refused: {str(error).partition(chr(10))[0][:200]}"
    return torch, replace(_chosen(chosen, "torch", verdict), settled=chosen.settled and settled)


def load(spec: ModelSpec, source: Path | None) -> ComparablePipeline:
    """Returns the model in ONNX Runtime. Raises ConfigurationError."""
    changed = {"dtype": "float32", "backend": "onnxruntime"}
    pipeline = pipelines.load(spec.model_copy(update=changed), source)
    assert isinstance(pipeline, ComparablePipeline)
    return pipeline


class Comparison:
    """Compares other pipelines of a model with one that torch runs."""

    def __init__(self, spec: ModelSpec, torch: ComparablePipeline) -> None:
        self.torch = torch
        self._until = time.monotonic() + spec.load_timeout * TIME_SHARE
        texts = held_out.inputs(spec)
        self._examination = Examination(texts[:: -(-len(texts) // TEXTS)], torch)
        self._batches = self._examination.batches(BATCH_TOKENS)
        self._lone = [[text] for batch in self._batches for text in batch]

    @property
    def threshold(self) -> float:
        """The lowest agreement that is accepted."""
        if self.torch.info.dtype != "float32":
            return self._examination.threshold
        return MIN_COSINE if self.torch.has_vectors else 1.0

    def speed(self, other: ComparablePipeline) -> Speed:
        """Races lone texts and batches, by the best of several times of each. Raises OutOfTime."""
        return Speed(
            self._speed(other, _some(self._lone, LONE_TEXTS), LONE_RUNS),
            self._speed(other, _some(self._batches, BATCHES), BATCH_RUNS),
        )

    def agreement(self, other: ComparablePipeline) -> float:
        """Returns the lower agreement with torch: of answers in batches, or of answers one by one."""
        expected = self._examination.answers(self.torch, self._batches, self._in_time)
        return min(
            self._examination.agreement(self._examination.answers(other, batches, self._in_time), expected)
            for batches in (self._batches, self._lone)
        )

    def _speed(self, other: ComparablePipeline, batches: list[list[Any]], runs: int) -> float:
        return race.speed(self.torch, other, batches, self.torch.compared_with, self._in_time, runs=runs)

    def _in_time(self) -> bool:
        return time.monotonic() < self._until


def _some(batches: list[list[Any]], count: int) -> list[list[Any]]:
    step = max(1, len(batches) // count)
    return batches[step // 2 :: step][:count]


def _chosen(before: Choice, backend: str, verdict: str) -> Choice:
    dtype = "float32" if backend == "onnxruntime" else before.dtype
    with_torch = f"; with torch {before.why}" if before.why else ""
    why = f"{dtype}, {backend} by auto ({verdict}){with_torch}"
    return replace(before, dtype=dtype, backend=backend, why=why)
