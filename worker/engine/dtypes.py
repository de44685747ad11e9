"""`dtype = "auto"`: the fastest number type on this device whose answers agree with float32's."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from worker.engine import held_out, pipelines, race
from worker.engine.agreement import Answers, Examination, OutOfTime, Refused
from worker.engine.calibration import calibrate
from worker.engine.pipelines import ComparablePipeline, LoadedPipeline
from worker.engine.samples import samples

CANDIDATES = {"cpu": ("bfloat16", "int8"), "cuda": ("bfloat16", "float16")}

MIN_SPEEDUP = 1.1
"""A type must be this many times as fast as float32 to be chosen."""

RUNS = 5

MAX_SLOWDOWN = 4
"""A type that once takes this many times as long as float32 is not timed further: a processor without
bfloat16 computes it in software, ten times slower."""

TIME_SHARE = 1 / 3
"""The share of `load_timeout` that the choice may take."""


@dataclass(frozen=True)
class Choice:
    """A number type, a backend and the reason for them."""

    dtype: str
    why: str
    settled: bool = True
    """Whether every candidate was judged; otherwise a later start may have more time."""
    backend: str = "torch"


@dataclass(frozen=True)
class Verdict:
    """The result for one faster type."""

    dtype: str
    speed: float
    """Speed as a multiple of float32's."""
    agreement: float | None = None
    """Agreement with float32, in batches: share of equal decisions or lowest cosine. None: too slow to check.
    """
    self_agreement: float | None = None
    """The same between its own answers in batches and one by one."""
    agrees: bool = False

    def __str__(self) -> str:
        text = f"{self.dtype} {self.speed:.2f} times float32"
        if self.agreement is None:
            return f"{text}: too slow"
        text = f"{text}, agreement {self.agreement:.4f}"
        return (
            text
            if self.agrees
            else f"{text} in batches, {self.self_agreement:.4f} with its own unbatched answers: refused"
        )


def choose(spec: ModelSpec, source: Path | None) -> tuple[LoadedPipeline, Choice]:
    """Returns the chosen pipeline and the reason; float32 if no other type passes or time runs out.

    Raises ConfigurationError if the model cannot be loaded, or the held-out inputs cannot be read or run.
    """
    judge = Judge(spec, source, held_out.inputs(spec))
    verdicts: list[str] = []
    settled = True
    best, best_speed, best_pipeline = "float32", MIN_SPEEDUP, judge.reference
    for dtype in CANDIDATES.get(judge.device, ("bfloat16", "float16")):
        try:
            pipeline, verdict = judge.examine(dtype)
        except OutOfTime:
            verdicts.append(f"{dtype} not judged in time")
            settled = False
            continue
        except Refused as error:
            files = held_out.files(spec)
            file = files[error.place if len(files) > 1 else 0]
            raise ConfigurationError(f"model {spec.name!r}: {file} cannot be used: {error}") from None
        except (ConfigurationError, RuntimeError, MemoryError) as error:
            reason = str(error).partition("\n")[0]
            verdicts.append(f"{dtype} refused: {reason[:200]}")
            continue
        verdicts.append(str(verdict))
        if verdict.agrees and verdict.speed >= best_speed:
            best, best_speed, best_pipeline = dtype, verdict.speed, pipeline
    return best_pipeline, Choice(best, f"{best} by auto ({'; '.join(verdicts)})", settled)


class Judge:
    """Compares faster types with float32, which stays loaded."""

    def __init__(self, spec: ModelSpec, source: Path | None, inputs: list[Any]) -> None:
        self.spec = spec
        self.source = source
        self._until = time.monotonic() + spec.load_timeout * TIME_SHARE
        self.reference = self._load("float32")
        self.device = self.reference.info.device.partition(":")[0]
        self._examination = Examination(inputs, self.reference, spec.max_batch_items)
        budget = spec.token_budget or self._measured_budget()
        self.batches = self._examination.batches(budget)
        self._alone = [[one] for batch in self.batches for one in batch]
        self._expected: Answers | None = None

    def examine(self, dtype: str, min_speedup: float = MIN_SPEEDUP) -> tuple[ComparablePipeline, Verdict]:
        """Loads the model in that type and times it. If `min_speedup` is reached, also compares its answers.

        Raises OutOfTime, and what loading and running raise.
        """
        pipeline = self._load(dtype)
        speed = self.speed(pipeline)
        if speed < min_speedup:
            return pipeline, Verdict(dtype, speed)
        if self._expected is None:
            self._expected = self._answers(self.reference, self.batches)
        together = self._answers(pipeline, self.batches)
        agreement = self._examination.agreement(together, self._expected)
        self_agreement = self._examination.agreement(together, self._answers(pipeline, self._alone))
        agrees = min(agreement, self_agreement) >= self._examination.threshold
        return pipeline, Verdict(dtype, speed, agreement, self_agreement, agrees)

    def speed(self, pipeline: LoadedPipeline) -> float:
        """Returns the speed relative to float32, by the best times on every eighth batch, run in turn."""
        _, parameters = samples(self.spec, self.reference)
        some = self.batches[4::8] or self.batches
        return race.speed(
            self.reference, pipeline, some, parameters, self._in_time, runs=RUNS, hopeless=MAX_SLOWDOWN
        )

    def _measured_budget(self) -> int:
        sample = samples(self.spec, self.reference)
        return calibrate(self.reference, self.spec.max_batch_items, sample=sample).cost.budget

    def _load(self, dtype: str) -> ComparablePipeline:
        pipeline = pipelines.load(self.spec.model_copy(update={"dtype": dtype}), self.source)
        assert isinstance(pipeline, ComparablePipeline)  # ModelSpec allows `auto` for these only
        if sample := pipeline.warm_up():
            pipeline.run(*sample)
        return pipeline

    def _answers(self, pipeline: ComparablePipeline, batches: list[list[Any]]) -> Answers:
        return self._examination.answers(pipeline, batches, self._in_time)

    def _in_time(self) -> bool:
        return time.monotonic() < self._until
