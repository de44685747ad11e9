"""The next batch is chosen as late as its preparation allows."""

import pytest

from worker.batching.lead import LEAD_SECONDS, LEAD_SHARE, MOST, Lead


def test_a_batch_that_is_prepared_in_a_moment_is_chosen_late() -> None:
    lead = Lead()
    for _ in range(100):
        lead.record(0.0005)
    assert lead.seconds(0.2) == pytest.approx(LEAD_SECONDS + LEAD_SHARE * 0.2)


def test_the_engine_soon_waits_for_no_preparation() -> None:
    """Each batch runs for 0.3 s, and takes 0.12 s to decode."""
    lead, waits = Lead(), []
    for _ in range(200):
        waits.append(max(0.0, 0.12 - lead.seconds(0.3)))
        lead.record(waits[-1])
    assert waits[0] > 0.08
    assert sum(waits[10:]) / len(waits[10:]) < 0.005
    assert lead.seconds(0.3) < 0.15, "no earlier than needed"


def test_it_is_never_before_the_running_batch() -> None:
    lead = Lead()
    lead.record(60.0)
    assert lead.seconds(0.05) == 0.05
    assert lead.seconds(100.0) == pytest.approx(LEAD_SECONDS + LEAD_SHARE * 100 + MOST)
