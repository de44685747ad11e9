"""Measures the cost of a model's micro-batches here: times a few shapes, finds the knee, fits a line.

Other load on the machine makes a shape slower, never faster, so the best of several times counts. The shapes
are timed in turn, so that a short load does not affect one of them alone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.engine.pipelines import LoadedPipeline
from worker.engine.protocol import NO_BUDGET, Cost

TIME_LIMIT = 3.0
"""Time limit in seconds on an idle machine; a slow model exceeds it by the shape being timed."""

MAX_SHAPE_MS = 1000.0
"""Milliseconds. Larger batches only add throughput, and other inputs would wait too long for them."""

SLOW_FACTOR = 4
"""A model that is slow with a single input may take this many times as long before the last larger shape."""

MIN_SLOW_GAIN = 1.15
"""A shape above MAX_SHAPE_MS must have this many times the rate of the shape half its size to be doubled."""

SLOW_TIME_LIMIT = 20.0
"""Time limit in seconds for a model that is slow with a single input."""

SLOW_RUNS = 12
"""A slow model is measured for as long as this many runs of a single input, if that is over `TIME_LIMIT`."""

MIN_RUNS = 3
"""Minimum number of runs of each shape."""

MAX_TIME_RATIO = 1.1
"""The two best times of a shape are trusted if their ratio is at most this."""

BUSY_FACTOR = 3
"""On a busy machine, measuring may take this many times `TIME_LIMIT`."""

TOLERANCE = 0.03
"""A batch is full at this distance from the best rate: a larger one adds more waiting than throughput."""

MIN_GAIN = 1.02
"""A shape counts as a gain if its rate is this many times that of the shape half its size."""

SHAPES_WITHOUT_GAIN = 2
"""A series ends after this many shapes in a row without a gain."""

LANES_FACTOR = 2
"""Factor on the best size for batches that are split across cores: texts cannot be divided, and the measured
shapes, with texts of one length, do not show how far apart the cores finish. They finish together in a larger
batch."""

GENERATION_FACTOR = 2
"""Further factor for models that generate: the rows of the measured shapes also end at the same step."""

MIN_BUSY_BUDGET = 512
"""Minimum budget on a machine too busy to measure: it suits small models on a few cores."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Calibration:
    """The measured cost, and whether the machine was idle enough to trust it for long."""

    cost: Cost
    settled: bool


@dataclass
class Shape:
    """A micro-batch of one kind, and its two best times in milliseconds."""

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
    def slow(self) -> bool:
        return self.times[0] > MAX_SHAPE_MS

    @property
    def settled(self) -> bool:
        if self.slow:
            return True
        return self.runs >= MIN_RUNS and self.times[1] <= self.times[0] * MAX_TIME_RATIO

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
        """Whether a larger shape may still gain, by the shapes measured so far."""
        if not self.shapes:
            return True
        largest = self.shapes[-1]
        if self.out_of_memory or 2 * len(largest.inputs) > self.max_items:
            return False
        if not largest.slow:
            return _gains(self.shapes)
        gained = len(self.shapes) == 1 or largest.rate >= MIN_SLOW_GAIN * self.shapes[-2].rate
        return gained and largest.milliseconds <= SLOW_FACTOR * self.shapes[0].milliseconds

    def next_inputs(self) -> list[Any]:
        count = 2 ** len(self.shapes)
        return [self.inputs[i % len(self.inputs)] for i in range(count)]

    def rate_within(self, budget: int) -> float:
        """Returns the rate of the largest batch within the budget, as a share of the best rate."""
        allowed = [shape for shape in self.shapes if shape.units <= budget]
        # the batcher never splits an item: one that exceeds the budget runs alone
        used = allowed[-1] if allowed else self.shapes[0]
        return used.rate / max(shape.rate for shape in self.shapes)


def calibrate(
    pipeline: LoadedPipeline,
    max_items: int,
    seconds: float = TIME_LIMIT,
    clock: Clock = time.perf_counter,
    *,
    sample: tuple[list[Any], dict[str, Any]] | None = None,
    longest: float = SLOW_TIME_LIMIT,
    alone: bool = True,
) -> Calibration:
    """Returns the cost of the pipeline's micro-batches up to `max_items`; no budget if it has no samples.

    Measures the inputs and parameters of `sample`, by default those of the pipeline's warm-up, for `seconds`,
    a slow model for up to `longest` seconds, on a busy machine BUSY_FACTOR times as long. What is measured
    while other engines load or measure (not `alone`) is never settled.
    """
    inputs, parameters = sample or pipeline.warm_up() or ([], {})
    if not inputs:
        return Calibration(Cost(NO_BUDGET), settled=True)
    return _Measurement(pipeline, inputs, parameters, max_items, clock).run(seconds, longest, alone)


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
        self.knows_lengths = self.counts_tokens or pipeline.info.unit_seconds is not None
        # each series has inputs of one length; without known lengths only the number of inputs varies
        kinds = [[one] for one in inputs] if self.knows_lengths else [inputs]
        self.series = [Series(kind, max_items) for kind in kinds]

    def run(self, seconds: float, longest: float, alone: bool) -> Calibration:
        began = self.clock()
        deadline = began + BUSY_FACTOR * seconds
        while growing := [one for one in self.series if one.growing]:
            for one in growing:
                if self.clock() < deadline and self._idle_seconds() < seconds:
                    self._grow(one)
            if single := min((one.shapes[0].milliseconds for one in growing if one.shapes), default=0.0):
                seconds = max(seconds, min(SLOW_RUNS * single / 1000, longest))
                deadline = began + BUSY_FACTOR * seconds
            # correct times that other load has distorted before deciding whether to continue
            self._repeat_until_stable(deadline)
            if self.clock() >= deadline or self._idle_seconds() >= seconds:
                break
        series = [one for one in self.series if one.shapes]
        shapes = [shape for one in series for shape in one.shapes]
        budget = _knee(series)
        fixed, slope = _fit([shape for shape in shapes if shape.units <= budget])
        complete = self._idle_seconds() >= seconds or not any(one.growing for one in self.series)
        settled = alone and complete and all(shape.settled for shape in shapes)
        if not settled and self.counts_tokens:
            budget = max(budget, MIN_BUSY_BUDGET)
        budget = max(budget, self.pipeline.info.pass_tokens)
        if self.pipeline.info.lanes > 1:
            budget *= LANES_FACTOR * (GENERATION_FACTOR if self.pipeline.new_tokens else 1)
        if not self.knows_lengths and (not settled or budget == shapes[-1].units):
            budget = NO_BUDGET  # it was still gaining at the last size
        return Calibration(Cost(budget, fixed, slope), settled)

    def _idle_seconds(self) -> float:
        """Returns the seconds that the runs so far would have taken on an idle machine."""
        shapes = [shape for series in self.series for shape in series.shapes]
        runs = [(1 if shape.slow else MIN_RUNS, shape.milliseconds) for shape in shapes]
        return sum(count * milliseconds for count, milliseconds in runs) / 1000

    def _grow(self, series: Series) -> None:
        """Times the next larger shape."""
        inputs = series.next_inputs()
        shape = Shape(inputs, self._units(inputs))
        try:
            self._time(shape)
            if not shape.settled:
                shape.times.clear()  # the first run includes one-time setup for a new shape
                self._time(shape)
        except (MemoryError, RuntimeError):
            # torch raises RuntimeError if memory is short; if a single input raises, the model is at fault
            if not series.shapes:
                raise
            series.out_of_memory = True
        else:
            series.shapes.append(shape)

    def _repeat_until_stable(self, deadline: float) -> None:
        """Times the shapes in turn until the two best times of each agree."""
        shapes = [shape for series in self.series for shape in series.shapes]
        while unsettled := [shape for shape in shapes if not shape.settled]:
            for shape in unsettled:
                if self.clock() >= deadline:
                    return
                self._time(shape)

    def _time(self, shape: Shape) -> None:
        prepared = self.pipeline.prepare(shape.inputs, self.parameters)
        began = self.clock()
        self.pipeline.compute(prepared)
        shape.add((self.clock() - began) * 1000)

    def _units(self, inputs: list[Any]) -> int:
        """Counts like `worker/batching/lengths.py`."""
        padded = self.pipeline.prepare(inputs, self.parameters).padded
        return self.pipeline.units(inputs) if padded is None else padded


def _gains(shapes: list[Shape]) -> bool:
    earlier, latest = shapes[:-SHAPES_WITHOUT_GAIN], shapes[-SHAPES_WITHOUT_GAIN:]
    best = max((shape.rate for shape in earlier), default=0.0)
    return any(shape.rate > best * MIN_GAIN for shape in latest)


def _knee(series: list[Series]) -> int:
    """Returns the smallest padded cost at which texts of all lengths run at nearly the best rate."""

    def rate(budget: int) -> float:
        return sum(one.rate_within(budget) for one in series) / len(series)

    budgets = sorted({shape.units for one in series for shape in one.shapes})
    best = max(map(rate, budgets))
    return next(budget for budget in budgets if rate(budget) >= (1 - TOLERANCE) * best)


def _fit(shapes: list[Shape]) -> tuple[float, float]:
    """Returns fixed ms and ms per unit, both at least 0: least squares of the relative error."""
    weights = [1 / max(shape.milliseconds, 1e-6) ** 2 for shape in shapes]
    total = sum(weights)
    mean_units = sum(w * shape.units for w, shape in zip(weights, shapes, strict=True)) / total
    mean_ms = sum(w * shape.milliseconds for w, shape in zip(weights, shapes, strict=True)) / total
    spread = sum(w * (shape.units - mean_units) ** 2 for w, shape in zip(weights, shapes, strict=True))
    covariance = sum(
        w * (shape.units - mean_units) * (shape.milliseconds - mean_ms)
        for w, shape in zip(weights, shapes, strict=True)
    )
    slope = max(0.0, covariance / spread) if spread else 0.0
    fixed = mean_ms - slope * mean_units
    if fixed < 0 or not spread:  # a line through the origin
        squares = sum(w * shape.units**2 for w, shape in zip(weights, shapes, strict=True))
        products = sum(w * shape.units * shape.milliseconds for w, shape in zip(weights, shapes, strict=True))
        return 0.0, products / squares
    return fixed, slope
