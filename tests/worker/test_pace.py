"""What Pace expects of the next batch."""

import math

import pytest

from worker.pace import Pace
from worker.protocol import Cost


def test_nothing_is_expected_before_anything_is_known() -> None:
    assert Pace(Cost(512)).seconds(10) == math.inf


def test_what_was_measured_at_warm_up_is_expected_first() -> None:
    assert Pace(Cost(512, fixed_ms=5.0, token_ms=0.1)).seconds(100) == pytest.approx(0.015)


@pytest.mark.parametrize("cost", [Cost(512), Cost(512, fixed_ms=5.0, token_ms=0.1)])
def test_it_learns_from_what_batches_took(cost: Cost) -> None:
    pace = Pace(cost)
    for _ in range(3):
        pace.took(100, 0.045)
    assert pace.seconds(100) == pytest.approx(0.045)
    for _ in range(100):
        pace.took(100, 0.090)
    assert pace.seconds(100) == pytest.approx(0.090, rel=0.01), "and forgets"


def test_the_slack_is_what_one_batch_more_costs() -> None:
    assert Pace(Cost(512, fixed_ms=5.0, token_ms=0.1)).slack == pytest.approx(50)
    assert Pace(Cost(512)).slack == math.inf
    assert Pace(Cost(512, fixed_ms=0.0, token_ms=0.1)).slack == 0.0, "it was measured: another costs nothing"
