"""A race between two pipelines of one model: forward passes in turn, so that both meet the same machine."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from worker.engine.agreement import OutOfTime
from worker.engine.pipelines import LoadedPipeline, Prepared

FEW = 4
"""Runs of a batch that suffice if they take longer than ENOUGH."""
ENOUGH = 1.0
"""Seconds."""


def speed(
    reference: LoadedPipeline,
    other: LoadedPipeline,
    batches: Sequence[list[Any]],
    parameters: dict[str, Any],
    in_time: Callable[[], bool],
    *,
    runs: int,
    hopeless: float = math.inf,
) -> float:
    """Returns the speed of `other` as a multiple of the reference's.

    The best of `runs` times on each batch counts, or of FEW if they take long. Once `other` takes more than
    `hopeless` times as long, it returns that speed. Raises OutOfTime.
    """
    total = [0.0, 0.0]
    for batch in batches:
        racers = [(one, one.prepare(batch, parameters)) for one in (reference, other)]
        best = [math.inf, math.inf]
        began = time.monotonic()
        for run in range(runs):
            if not in_time():
                raise OutOfTime
            if run >= FEW and time.monotonic() - began > ENOUGH:
                break
            best = [min(once, seconds(*racer)) for once, racer in zip(best, racers, strict=True)]
            if best[1] > hopeless * best[0]:
                return best[0] / best[1]
        total = [one + once for one, once in zip(total, best, strict=True)]
    return total[0] / total[1]


def seconds(pipeline: LoadedPipeline, prepared: Prepared) -> float:
    """Returns how long a forward pass takes."""
    began = time.perf_counter()
    pipeline.compute(prepared)
    return time.perf_counter() - began
