"""What a pipeline costs is found by a clock that the pipeline itself moves: no test is in a hurry."""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest

from worker.engine.calibration import calibrate
from worker.engine.pipelines import LoadedPipeline, PipelineInfo, Prepared
from worker.engine.protocol import NO_BUDGET


class Timed(LoadedPipeline):
    """Takes `milliseconds(padded)`, on its own clock; an input is as many tokens as it has characters."""

    def __init__(self, milliseconds: Any, sample: list[Any] | None = None, tokens: bool = True) -> None:
        self.info = PipelineInfo("cpu", "float32", None, None)
        self.milliseconds = milliseconds
        self.sample = ["x" * 16, "x" * 32, "x" * 128] if sample is None else sample
        self.tokens = tokens
        self.now = 0.0
        self.ran: list[int] = []

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        lengths = [len(text) if isinstance(text, str) else 1 for text in inputs]
        padded = max(lengths) * len(lengths)
        return Prepared((len(inputs), padded), sum(lengths), padded if self.tokens else None)

    def compute(self, prepared: Prepared) -> Any:
        count, padded = prepared.work
        self.now += self.milliseconds(padded) / 1000
        self.ran.append(count)

    def answer(self, computed: Any) -> list[Any]:
        return [computed]

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        return (self.sample, {}) if self.sample else None

    def clock(self) -> float:
        return self.now


def small_model(padded: int) -> float:
    """Milliseconds: a fixed part, a part for each token, and dearer tokens once a cache is too small."""
    return 5 + 0.1 * padded + 0.1 * max(0, padded - 512)


def test_the_knee_is_found_and_the_line_below_it() -> None:
    pipeline = Timed(small_model)
    cost = calibrate(pipeline, 256, 60, pipeline.clock).cost
    assert cost.budget == 512
    assert (cost.fixed_ms, cost.token_ms) == pytest.approx((5, 0.1))


def test_no_larger_batch_than_pays_is_ever_run() -> None:
    """Two batches beyond the best one are enough to see that it is."""
    pipeline = Timed(small_model)
    calibrate(pipeline, 256, 60, pipeline.clock)
    assert max(pipeline.ran) == 4 * (512 // 16)


def test_a_model_that_gains_by_any_batch_gets_the_largest() -> None:
    pipeline = Timed(lambda padded: 50 + 0.001 * padded)
    cost = calibrate(pipeline, 64, 60, pipeline.clock).cost
    assert cost.budget == 64 * 128
    assert max(pipeline.ran) == 64


def test_a_model_that_gains_by_none_gets_single_items() -> None:
    pipeline = Timed(lambda padded: 0.1 * padded)
    cost = calibrate(pipeline, 64, 60, pipeline.clock).cost
    assert cost.budget == 16
    assert (cost.fixed_ms, cost.token_ms) == pytest.approx((0, 0.1))


@pytest.mark.parametrize("seed", range(20))
def test_a_busy_machine_does_not_falsify_it(seed: int) -> None:
    """A third of the runs are slower, some of them far, and yet much the same is found."""
    chance = random.Random(seed)

    def disturbed(padded: int) -> float:
        return small_model(padded) * (1 + chance.choice([0, 0, 1]) * chance.expovariate(1))

    pipeline = Timed(disturbed)
    cost = calibrate(pipeline, 256, 60, pipeline.clock).cost
    assert 256 <= cost.budget <= 1024
    assert cost.fixed_ms + 512 * cost.token_ms == pytest.approx(5 + 512 * 0.1, rel=0.15)


def test_a_machine_too_busy_to_be_measured() -> None:
    """No two runs are alike, each is slower than the one before: nothing found is worth remembering."""
    slower = itertools.count(1)
    pipeline = Timed(lambda padded: small_model(padded) * 1.2 ** next(slower))
    found = calibrate(pipeline, 256, 3, pipeline.clock)
    assert not found.settled
    assert found.cost.budget == 512
    calm = Timed(small_model)
    assert calibrate(calm, 256, 3, calm.clock).settled
    beside_others = Timed(small_model)
    assert not calibrate(beside_others, 256, 3, beside_others.clock, alone=False).settled


def test_a_slow_model_is_not_kept_from_its_work() -> None:
    pipeline = Timed(lambda padded: 2_000.0 * padded)
    cost = calibrate(pipeline, 256, 3, pipeline.clock).cost
    assert pipeline.ran == [1]
    assert cost.budget == 16
    assert (cost.fixed_ms, cost.token_ms) == pytest.approx((0, 2_000))


def test_a_slow_model_that_gains_by_a_batch_gets_one() -> None:
    pipeline = Timed(lambda padded: 850.0 + 250.0 * padded / 16, ["x" * 16])
    found = calibrate(pipeline, 256, 3, pipeline.clock)
    assert max(pipeline.ran) == 16
    assert found.cost.budget == 16 * 16
    assert pipeline.now < 20


def test_a_slow_model_that_gains_by_none_is_measured_briefly() -> None:
    pipeline = Timed(lambda padded: 100.0 + 1_000.0 * padded / 16, ["x" * 16])
    found = calibrate(pipeline, 256, 3, pipeline.clock)
    assert pipeline.ran == [1, 2]
    assert found.settled


def test_memory_that_fails_ends_the_growth() -> None:
    def milliseconds(padded: int) -> float:
        if padded > 1_000:
            raise RuntimeError("can't allocate memory")
        return 50 + 0.001 * padded

    pipeline = Timed(milliseconds)
    assert calibrate(pipeline, 256, 60, pipeline.clock).cost.budget <= 1_000


def test_a_model_that_fails_on_its_own_sample_is_not_served() -> None:
    def milliseconds(padded: int) -> float:
        raise RuntimeError("broken")

    pipeline = Timed(milliseconds)
    with pytest.raises(RuntimeError, match="broken"):
        calibrate(pipeline, 256, 60, pipeline.clock)


def test_a_class_without_samples_has_no_budget() -> None:
    pipeline = Timed(small_model, sample=[])
    cost = calibrate(pipeline, 32, 60, pipeline.clock).cost
    assert (cost.budget, cost.token_ms, pipeline.ran) == (NO_BUDGET, 0, [])


def test_a_class_on_texts_is_measured_by_characters() -> None:
    """A quarter of a token for each character, and one: 5 for each of these; the batcher counts so too."""
    pipeline = Timed(lambda padded: 5 + max(padded, 8 * 16), sample=["x" * 16, "x" * 14], tokens=False)
    cost = calibrate(pipeline, 32, 60, pipeline.clock).cost
    assert cost.budget == 8 * 5


def test_a_class_on_json_is_measured_by_items() -> None:
    pipeline = Timed(lambda padded: 5 + padded, sample=[[1, 2], {"a": 3}], tokens=False)
    cost = calibrate(pipeline, 32, 60, pipeline.clock).cost
    assert (cost.fixed_ms, cost.token_ms) == pytest.approx((5, 1))
    assert cost.budget == NO_BUDGET  # still gaining at 32


@pytest.mark.parametrize(("tokens", "budget"), [(8, 16), (256, 256)])
def test_a_batch_is_not_full_with_less_than_a_pass(tokens: int, budget: int) -> None:
    pipeline = Timed(lambda padded: 0.1 * padded)
    pipeline.info = replace(pipeline.info, pass_tokens=tokens)
    assert calibrate(pipeline, 64, 60, pipeline.clock).cost.budget == budget


@pytest.mark.parametrize(("new_tokens", "times"), [(0, 2), (200, 4)])
def test_batches_for_several_lanes_are_larger(new_tokens: int, times: int) -> None:
    alone, dealt = Timed(lambda padded: 5 + padded / 10), Timed(lambda padded: 5 + padded / 10)
    dealt.info, dealt.new_tokens = replace(dealt.info, packs=True, lanes=2), new_tokens
    one, other = (
        calibrate(alone, 256, clock=lambda: alone.now),
        calibrate(dealt, 256, clock=lambda: dealt.now),
    )
    assert other.cost.budget == times * one.cost.budget
    assert other.cost.token_ms == one.cost.token_ms


class Sounds(Timed):
    """Inputs are as many units as they have characters, and not tokens."""

    def __init__(self, milliseconds: Any, sample: list[Any]) -> None:
        super().__init__(milliseconds, sample, tokens=False)
        self.info = replace(self.info, unit_seconds=0.1)

    def units(self, inputs: list[Any]) -> int:
        return max(map(len, inputs)) * len(inputs)


def test_sounds_of_each_length_are_timed_by_themselves() -> None:
    pipeline = Sounds(small_model, ["x" * 16, "x" * 128])
    cost = calibrate(pipeline, 256, 60, pipeline.clock).cost
    assert cost.budget == 512
    assert (cost.fixed_ms, cost.token_ms) == pytest.approx((5, 0.1))


def test_a_busy_machine_s_budget_for_sounds_is_what_was_measured() -> None:
    """The least budget on such a machine is in tokens."""
    slower = itertools.count(1)
    pipeline = Sounds(lambda padded: 100 * padded * 1.2 ** next(slower), ["x"])
    found = calibrate(pipeline, 256, 3, pipeline.clock)
    assert not found.settled
    assert found.cost.budget <= 8
