"""What a model's micro-batches cost on this machine: times a few shapes, finds the knee, fits a line.

A machine that is busy with something else makes a shape slower, never faster, so the best of several times
counts; the shapes take turns, so that a busy second doesn't fall upon one of them alone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.engine.pipelines import LoadedPipeline
from worker.engine.protocol import NO_BUDGET, Cost

SECONDS = 3.0
"""Of an undisturbed machine; a slow model's calibration takes the one shape longer that it is at."""

LONGEST_SHAPE = 1000.0
"""Milliseconds; batches beyond are for throughput alone, and a neighbour would wait too long for them."""

RUNS = 3
"""Times that each shape is run at least."""

ALIKE = 1.1
"""The two best times of a shape are believed when they are no further apart than this."""

STRETCH = 3
"""On a machine that is busy with something else, so many times `SECONDS` may go by until all are."""

TOLERANCE = 0.03
"""A batch is full when it is this close to the best rate: what is lost is less than what its items wait."""

GAIN = 1.02
"""A shape is better than the one half its size when it does so many times as much per second."""

SHAPES_WITHOUT_GAIN = 2
"""Shapes in a row that may be no better before a series ends."""

EVEN = 2
"""Times the best size for batches that are dealt out to several cores: texts cannot be divided, and shapes
of texts of one length do not show how far apart the cores then end. In a larger batch they end together."""

DISTURBED_BUDGET = 512
"""The least budget of a machine too busy to be measured: it suits small models on a few cores."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Calibration:
    """What was found, and whether the machine was quiet enough to believe it for long."""

    cost: Cost
    settled: bool


@dataclass
class Shape:
    """A micro-batch of one kind, and the two best times that it took, in milliseconds."""

    inputs: list[Any]
    units: int
    """Its padded cost, as the batcher counts it."""
    times: list[float] = field(default_factory=list)
    runs: int = 0

    @property
    def milliseconds(self) -> float:
        return self.times[0]

    @property
    def rate(self) -> float:
        return self.units / max(self.times[0], 1e-6)

    @property
    def settled(self) -> bool:
        if self.times[0] > LONGEST_SHAPE:
            return True
        return self.runs >= RUNS and self.times[1] <= self.times[0] * ALIKE

    def add(self, milliseconds: float) -> None:
        self.runs += 1
        self.times = sorted([*self.times, milliseconds])[:2]


@dataclass
class Series:
    """Batches of 1, 2, 4, ... of the same inputs."""

    inputs: Sequence[Any]
    max_items: int
    shapes: list[Shape] = field(default_factory=list)
    out_of_memory: bool = False

    @property
    def growing(self) -> bool:
        """Whether a larger shape may be worth it, by what is known of the others so far."""
        if not self.shapes:
            return True
        largest = self.shapes[-1]
        return (
            not self.out_of_memory
            and 2 * len(largest.inputs) <= self.max_items
            and largest.milliseconds <= LONGEST_SHAPE
            and _gains(self.shapes)
        )

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
) -> Calibration:
    """The cost of the pipeline's micro-batches of up to `max_items`; no budget where it gives no samples."""
    sample = pipeline.warm_up()
    if sample is None:
        return Calibration(Cost(NO_BUDGET), settled=True)
    return _Measurement(pipeline, *sample, max_items, clock).run(seconds)


class _Measurement:
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
        self.clock = clock
        self.counts_tokens = pipeline.prepare(inputs[:1], parameters).padded is not None
        # texts of one length each, where lengths are known; else only the number of inputs can be varied
        kinds = [[text] for text in inputs] if self.counts_tokens else [inputs]
        self.series = [Series(kind, max_items) for kind in kinds]

    def run(self, seconds: float) -> Calibration:
        at_latest = self.clock() + STRETCH * seconds
        while growing := [one for one in self.series if one.growing]:
            for one in growing:
                if self.clock() < at_latest and self._undisturbed() < seconds:
                    self._grow(one)
            # what a busy machine has falsified is put right before it is decided whether to go on
            self._settle(at_latest)
            if self.clock() >= at_latest or self._undisturbed() >= seconds:
                break
        series = [one for one in self.series if one.shapes]
        shapes = [shape for one in series for shape in one.shapes]
        budget = _knee(series)
        fixed, slope = _fit([shape for shape in shapes if shape.units <= budget])
        whole = self._undisturbed() >= seconds or not any(one.growing for one in self.series)
        settled = whole and all(shape.settled for shape in shapes)
        if not settled:
            budget = max(budget, DISTURBED_BUDGET)
        if self.pipeline.info.lanes > 1:
            budget *= EVEN
        if not self.counts_tokens and (not settled or budget == shapes[-1].units):
            budget = NO_BUDGET  # as far as is known: it was still gaining when the items ran out
        return Calibration(Cost(budget, fixed, slope), settled)

    def _undisturbed(self) -> float:
        """Seconds that the runs so far would have taken on a machine that does nothing else."""
        shapes = [shape for series in self.series for shape in series.shapes]
        return sum(RUNS * shape.milliseconds for shape in shapes) / 1000

    def _grow(self, series: Series) -> None:
        """Times the next larger shape."""
        inputs = series.next_inputs()
        shape = Shape(inputs, self._units(inputs))
        try:
            self._time(shape)
            if not shape.settled:
                shape.times.clear()  # the first run includes what is set up for a new shape
                self._time(shape)
        except (MemoryError, RuntimeError):
            # torch raises RuntimeError when memory is short; what one input alone raises is the model's fault
            if not series.shapes:
                raise
            series.out_of_memory = True
        else:
            series.shapes.append(shape)

    def _settle(self, at_latest: float) -> None:
        """Times the shapes in turns until each has been seen twice to be as fast."""
        shapes = [shape for series in self.series for shape in series.shapes]
        while unsettled := [shape for shape in shapes if not shape.settled]:
            for shape in unsettled:
                if self.clock() >= at_latest:
                    return
                self._time(shape)

    def _time(self, shape: Shape) -> None:
        prepared = self.pipeline.prepare(shape.inputs, self.parameters)
        began = self.clock()
        self.pipeline.compute(prepared)
        shape.add((self.clock() - began) * 1000)

    def _units(self, inputs: list[Any]) -> int:
        """As `worker/batching/lengths.py` counts."""
        padded = self.pipeline.prepare(inputs, self.parameters).padded
        return self.pipeline.units(inputs) if padded is None else padded


def _gains(shapes: list[Shape]) -> bool:
    earlier, latest = shapes[:-SHAPES_WITHOUT_GAIN], shapes[-SHAPES_WITHOUT_GAIN:]
    best = max((shape.rate for shape in earlier), default=0.0)
    return any(shape.rate > best * GAIN for shape in latest)


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
