"""Work: the workers' counters in a form that can be added and subtracted; and bounds of their quantiles."""

import math
import operator

import msgspec
from msgspec.structs import force_setattr

from jobs.monitoring.histograms import LATENCIES, cumulative, fitting
from jobs.monitoring.roster import Heartbeat


class Work(msgspec.Struct, array_like=True, frozen=True):
    """Counters of one or more workers, since their start or over a period."""

    jobs: int = 0
    failed: int = 0
    """Failed jobs among them."""
    items: int = 0
    batches: int = 0
    tokens: int = 0
    padded: int = 0
    """Tokens run, with padding."""
    queued: list[int] = []
    """Jobs by seconds waited: a count for each bucket of LATENCIES, and the overflow."""
    compute: list[int] = []
    total: list[int] = []
    inputs: int = 0
    """Inputs of jobs that ended with an outcome for each input; `items` are the inputs that were run."""
    inputs_failed: int = 0
    """Failed inputs among them."""

    def __post_init__(self) -> None:
        for name in ("queued", "compute", "total"):
            force_setattr(self, name, fitting(getattr(self, name), LATENCIES))

    @classmethod
    def of(cls, beat: Heartbeat) -> "Work":
        """Returns a worker's counters since its start."""
        return cls(
            jobs=sum(beat.jobs.values()),
            failed=beat.jobs.get("failed", 0),
            items=beat.items,
            batches=beat.batches,
            tokens=beat.tokens,
            padded=beat.padded_tokens,
            queued=beat.queued,
            compute=beat.compute,
            total=beat.total,
            inputs=beat.inputs,
            inputs_failed=sum(beat.inputs_failed.values()),
        )

    def __add__(self, other: "Work") -> "Work":
        return self._with(other, 1)

    def __sub__(self, other: "Work") -> "Work":
        return self._with(other, -1)

    def _with(self, other: "Work", sign: int) -> "Work":
        return Work(
            self.jobs + sign * other.jobs,
            self.failed + sign * other.failed,
            self.items + sign * other.items,
            self.batches + sign * other.batches,
            self.tokens + sign * other.tokens,
            self.padded + sign * other.padded,
            _with(self.queued, other.queued, sign),
            _with(self.compute, other.compute, sign),
            _with(self.total, other.total, sign),
            self.inputs + sign * other.inputs,
            self.inputs_failed + sign * other.inputs_failed,
        )

    @property
    def batch_size(self) -> float | None:
        """Mean inputs in a micro-batch; None if there was none."""
        return self.items / self.batches if self.batches > 0 else None

    @property
    def padding(self) -> float | None:
        """Share of padding among the tokens run, 0 to 1; None if there were none."""
        return max(0.0, 1 - self.tokens / self.padded) if self.padded > 0 else None

    @property
    def failing(self) -> float | None:
        """Share of failed inputs, 0 to 1; None if no job ended."""
        return self.inputs_failed / self.inputs if self.inputs > 0 else None


def quantile_bound(counts: list[int], q: float) -> float | None:
    """Returns seconds that at least a share `q` of the counted values do not exceed; None without values.

    It is the upper bound of the bucket with the quantile, infinity if that is the last bucket. Not
    interpolated as by Prometheus' histogram_quantile, which may give 28 ms if the only job took 21 ms.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank = min(total, math.floor(q * total) + 1)
    return next(bound for bound, upto in cumulative(counts, LATENCIES) if upto >= rank)


def _with(one: list[int], other: list[int], sign: int) -> list[int]:
    """Adds or subtracts histograms; an empty one has no values."""
    one, other = one or [0] * len(other), other or [0] * len(one)
    return list(map(operator.add if sign > 0 else operator.sub, one, other))
