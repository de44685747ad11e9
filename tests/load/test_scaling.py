"""Two workers share a burst: both have their part of it, and no input is run by both."""

from pathlib import Path

from bench.costly import record_of
from bench.scaling import SLEEPING, measure

JOBS = 800


def test_two_workers_share_a_burst(tmp_path: Path) -> None:
    record = tmp_path / "record"
    burst = measure(SLEEPING.format(record=record), {}, [None, None], JOBS, record)
    assert sum(burst.shares) == JOBS + 1, "and the one that the stack was asked"
    assert min(burst.shares) > JOBS / 5, "one who claimed the whole burst would leave the other nothing"
    ran = record_of(record)
    assert sum(len(each.names) for each in ran) == JOBS + 1
    assert len({each.engine for each in ran}) == 2
