"""Rates and times of streams."""

import pytest

from bench.generation.timing import Stream, timing


def test_times_count_from_when_a_request_was_due() -> None:
    stream = Stream(0, due=10.0, times=[10.5, 10.6, 10.9], counts=[1, 1, 2])
    assert stream.first == pytest.approx(0.5)
    assert stream.gaps == pytest.approx([0.1, 0.3])


def test_a_rate_has_the_tokens_that_arrived_meanwhile() -> None:
    streams = [
        Stream(0, due=0.0, times=[0.5, 1.5, 2.5], counts=[1, 2, 4]),
        Stream(1, due=1.0, times=[1.25, 3.5], counts=[8, 16]),
    ]
    found = timing(streams, 1.0, 3.0)
    assert found.rate == (2 + 4 + 8) / 2
    assert found.requests == 1
    assert found.first_p50 == found.first_p95 == 250
    assert found.between_p95 == 2250


def test_the_worst_of_few_is_the_95th_percentile() -> None:
    streams = [Stream(at, due=float(at), times=[at + (at + 1) / 8], counts=[1]) for at in range(4)]
    found = timing(streams, 0.0, 4.0)
    assert (found.first_p50, found.first_p95, found.between_p95) == (250, 500, 0)


@pytest.mark.parametrize("streams", [[], [Stream(0, due=0.5)], [Stream(0, due=9.0, times=[9.5], counts=[1])]])
def test_nothing_to_count_is_an_error(streams: list[Stream]) -> None:
    with pytest.raises(ValueError, match="no stream began"):
        timing(streams, 0.0, 1.0)
