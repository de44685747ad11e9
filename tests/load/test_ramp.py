"""The search for the highest rate, and what makes a step fail."""

import pytest

from bench.arrivals import Arrived
from bench.errors import BenchError
from tests.load.ramp import Ramp
from tests.load.search import highest


@pytest.mark.parametrize("capacity", [3.0, 20.0, 21.0, 137.0, 5000.0])
def test_the_highest_rate_is_found_within_a_tenth(capacity: float) -> None:
    found = highest(lambda rate: rate <= capacity, 20)
    assert found is not None
    assert capacity / 1.1 <= found <= capacity


def test_one_bad_moment_does_not_end_the_search() -> None:
    tried: list[float] = []

    def passes(rate: float) -> bool:
        tried.append(rate)
        return rate <= 100 and len(tried) % 2 == 0

    found = highest(passes, 10)
    assert found is not None
    assert 100 / 1.1 <= found <= 100


def test_nothing_is_found_where_nothing_passes() -> None:
    assert highest(lambda rate: False, 20) is None


def arrived(**changed: object) -> Arrived:
    fields: dict[str, object] = {
        "sent": 100,
        "elapsed": 1.0,
        "took": [10.0] * 99 + [900.0],
        "overrun": False,
        "errors": 0,
        "error": "",
        "late": 0.1,
        "cpu": 0.1,
        "answers": {},
    }
    return Arrived(**{**fields, **changed})  # type: ignore[arg-type]


def test_a_step_fails_for_its_p99_for_errors_and_when_it_was_cut_short() -> None:
    ramp = Ramp("http://127.0.0.1:8000", 0.5, 1)
    assert ramp.fault(arrived()) is None, "one of a hundred may be slow"
    assert ramp.fault(arrived(took=[10.0] * 98 + [900.0] * 2)) == "failed: p99"
    assert ramp.fault(arrived(overrun=True)) is not None
    assert ramp.fault(arrived(errors=1, error="503")) == "failed: 503"


def test_the_ramp_refuses_https() -> None:
    with pytest.raises(BenchError, match="http"):
        Ramp("https://example.org", 0.5, 1)
