"""What CostModel expects of the next batch."""

import math

import pytest

from worker.batching.cost_model import CostModel
from worker.engine.protocol import Cost


def test_nothing_is_expected_before_anything_is_known() -> None:
    assert CostModel(Cost(512)).seconds(10) == math.inf


def test_what_was_measured_at_warm_up_is_expected_first() -> None:
    assert CostModel(Cost(512, fixed_ms=5.0, token_ms=0.1)).seconds(100) == pytest.approx(0.015)


@pytest.mark.parametrize("cost", [Cost(512), Cost(512, fixed_ms=5.0, token_ms=0.1)])
def test_it_learns_from_what_batches_took(cost: Cost) -> None:
    cost_model = CostModel(cost)
    for _ in range(3):
        cost_model.record(100, 0.045)
    assert cost_model.seconds(100) == pytest.approx(0.045)
    for _ in range(100):
        cost_model.record(100, 0.090)
    assert cost_model.seconds(100) == pytest.approx(0.090, rel=0.01), "and forgets"


def test_the_slack_is_what_one_batch_more_costs() -> None:
    assert CostModel(Cost(512, fixed_ms=5.0, token_ms=0.1)).slack == pytest.approx(50)
    assert CostModel(Cost(512)).slack == math.inf
    assert CostModel(Cost(512, fixed_ms=0.0, token_ms=0.1)).slack == 0.0, "measured: another costs nothing"
