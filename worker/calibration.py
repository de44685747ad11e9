"""What a model's micro-batches cost on this machine: times a few shapes, finds the knee, fits a line.

A machine that is busy with something else makes a shape slower, never faster, so the best of several times
counts; the shapes take turns, so that a busy second doesn't fall upon one of them alone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.lengths import CHARS_PER_TOKEN
from worker.pipelines import LoadedPipeline
from worker.protocol import NO_BUDGET, Cost

SECONDS = 3.0
"""No shape is begun after these; a slow model's calibration takes the one longer that it is at."""

LONGEST_SHAPE = 1000.0
"""Milliseconds; batches beyond are for throughput alone, and a neighbour would wait too long for them."""

ROUNDS = 3

TOLERANCE = 0.03
"""A batch is full when it is this close to the best rate: what is lost is less than what its items wait."""

GAIN = 1.02
"""A shape is better than the one half its size when it does so many times as much per second."""

PATIENCE = 2
"""Shapes in a row that may be no better before a series ends."""

Clock = Callable[[], float]


@dataclass
class Shape:
    """A micro-batch of one kind, and the least time that it took."""

    inputs: list[Any]
    units: int
    """Its padded cost, as the batcher counts it."""
    milliseconds: float = float("inf")

    @property
    def rate(self) -> float:
        return self.units / self.milliseconds


@dataclass
class Series:
    """Batches of 1, 2, 4, ... of the same inputs."""

    inputs: Sequence[Any]
    shapes: list[Shape] = field(default_factory=list)
    ended: bool = False

    def next_inputs(self) -> list[Any]:
        count = 2 ** len(self.shapes)
        return [self.inputs[i % len(self.inputs)] for i in range(count)]

    def rate_within(self, budget: int) -> float:
        """The rate, as a share of the best, of the largest batch that keeps to the budget."""
        allowed = [shape for shape in self.shapes if shape.units <= budget]
        # the batcher never splits an item: one that is larger than the budget runs alone
        used = allowed[-1] if allowed else self.shapes[0]
        return used.rate / max(shape.rate for shape in self.shapes)


def calibrate(
    pipeline: LoadedPipeline, max_items: int, seconds: float = SECONDS, clock: Clock = time.perf_counter
) -> Cost:
    """The cost of the pipeline's micro-batches of up to `max_items`; no budget where it gives no samples."""
    sample = pipeline.warm_up()
    if sample is None:
        return Cost(NO_BUDGET)
    return _Calibration(pipeline, *sample, max_items, clock).run(seconds)


class _Calibration:
    def __init__(
        self,
        pipeline: LoadedPipeline,
        inputs: list[Any],
        parameters: dict[str, Any],
        max_items: int,
        clock: Clock,
    ) -> None:
        self.pipeline = pipeline
        self.parameters = parameters
        self.max_items = max_items
        self.clock = clock
        self.counts_tokens = pipeline.prepare(inputs[:1], parameters).padded is not None
        # texts of one length each, where lengths are known; else only the number of inputs can be varied
        kinds = [[text] for text in inputs] if self.counts_tokens else [inputs]
        self.series = [Series(kind) for kind in kinds]

    def run(self, seconds: float) -> Cost:
        until = self.clock() + seconds
        growing = self.series
        while growing:
            growing = [one for one in growing if self.clock() < until and self._grow(one)]
        series = [one for one in self.series if one.shapes]
        shapes = [shape for one in series for shape in one.shapes]
        for _ in range(ROUNDS - 1):
            for shape in shapes:
                if self.clock() < until:
                    self._time(shape)
        budget = _knee(series)
        fixed, slope = _fit([shape for shape in shapes if shape.units <= budget])
        if not self.counts_tokens and budget == shapes[-1].units:
            budget = NO_BUDGET  # it was still gaining when the items ran out
        return Cost(budget, fixed, slope)

    def _grow(self, series: Series) -> bool:
        """Times the next larger shape; False when the series has come to its end."""
        if series.ended:
            return False
        inputs = series.next_inputs()
        shape = Shape(inputs, self._units(inputs))
        try:
            self._time(shape)
            if shape.milliseconds < LONGEST_SHAPE:
                self._time(shape)  # the first time includes what is set up for a new shape
        except (MemoryError, RuntimeError):
            # torch raises RuntimeError when memory is short; what one input alone raises is the model's fault
            if not series.shapes:
                raise
            series.ended = True
            return False
        series.shapes.append(shape)
        series.ended = (
            2 * len(inputs) > self.max_items
            or shape.milliseconds > LONGEST_SHAPE
            or _gains_no_more(series.shapes)
        )
        return True

    def _time(self, shape: Shape) -> None:
        prepared = self.pipeline.prepare(shape.inputs, self.parameters)
        began = self.clock()
        self.pipeline.compute(prepared)
        shape.milliseconds = min(shape.milliseconds, (self.clock() - began) * 1000)

    def _units(self, inputs: list[Any]) -> int:
        """As `worker/lengths.py` counts."""
        padded = self.pipeline.prepare(inputs, self.parameters).padded
        if padded is not None:
            return padded
        if not all(isinstance(one, str) for one in inputs):
            return len(inputs)
        return max(len(text) // CHARS_PER_TOKEN + 1 for text in inputs) * len(inputs)


def _gains_no_more(shapes: list[Shape]) -> bool:
    earlier, latest = shapes[:-PATIENCE], shapes[-PATIENCE:]
    best = max((shape.rate for shape in earlier), default=0.0)
    return all(shape.rate <= best * GAIN for shape in latest)


def _knee(series: list[Series]) -> int:
    """The smallest padded cost with which texts of every length together run about as fast as they can."""

    def rate(budget: int) -> float:
        return sum(one.rate_within(budget) for one in series) / len(series)

    budgets = sorted({shape.units for one in series for shape in one.shapes})
    best = max(map(rate, budgets))
    return next(budget for budget in budgets if rate(budget) >= (1 - TOLERANCE) * best)


def _fit(shapes: list[Shape]) -> tuple[float, float]:
    """Fixed milliseconds, and those of each unit: least squares of the relative error, neither below 0."""
    weights = [1 / max(shape.milliseconds, 1e-6) ** 2 for shape in shapes]
    total = sum(weights)
    mean_units = sum(w * shape.units for w, shape in zip(weights, shapes, strict=True)) / total
    mean_ms = sum(w * shape.milliseconds for w, shape in zip(weights, shapes, strict=True)) / total
    spread = sum(w * (shape.units - mean_units) ** 2 for w, shape in zip(weights, shapes, strict=True))
    together = sum(
        w * (shape.units - mean_units) * (shape.milliseconds - mean_ms)
        for w, shape in zip(weights, shapes, strict=True)
    )
    slope = max(0.0, together / spread) if spread else 0.0
    fixed = mean_ms - slope * mean_units
    if fixed < 0 or not spread:  # a line through the origin
        squares = sum(w * shape.units**2 for w, shape in zip(weights, shapes, strict=True))
        through = sum(w * shape.units * shape.milliseconds for w, shape in zip(weights, shapes, strict=True))
        return 0.0, through / squares
    return fixed, slope
