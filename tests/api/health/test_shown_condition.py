"""What a caller who does not see all owners' jobs is shown of the health."""

import re
from typing import Any

import pytest

from api.health.condition import condition
from jobs.monitoring.work import Work
from jobs.settings import Settings
from tests.api.health.test_condition import FINE, depths
from tests.ledger import heartbeat


@pytest.mark.parametrize("retired", [1, 2])
def test_errors_are_for_callers_who_see_all_jobs(retired: int) -> None:
    """They may contain parts of a job; the level and what is wrong are for everybody."""
    engines = ["retired"] * retired + ["ready"] * (2 - retired)
    beats = [heartbeat(f"w{i}", "m", engine=each, engine_fault="why") for i, each in enumerate(engines)]
    queue = depths(damage="this key", waiting=3)
    found = condition(Settings(), {"": FINE}, (), queue, beats, {"m": Work()})
    shown = {sees: found.for_caller(sees) for sees in (None, "", "alice")}
    texts = {sees: "; ".join(reason.text for reason in each.reasons) for sees, each in shown.items()}
    for word in ("why", "this key"):
        assert [word in text for text in texts.values()] == [True, False, False]
    for word in ("retired", "loaded again at", "another program wrote"):
        assert all(word in text for text in texts.values())
    assert len({each.level for each in shown.values()}) == 1


@pytest.mark.parametrize(
    ("queue", "beats"),
    [
        ({"waiting": 71, "running": 72}, []),
        ({"waiting": 71}, [{"age": 60.0}]),
        ({"waiting": 71}, [{"engine": "restarting"}]),
        ({"waiting": 71}, [{"engine": "retired"}]),
        ({"waiting": 95}, [{}]),
        ({"bytes": 900}, [{}]),
        ({"late": 3}, [{}]),
        ({}, [{}, {"age": 60.0}, {"engine": "restarting"}, {"engine": "retired"}]),
    ],
)
def test_figures_and_names_are_for_callers_who_see_all_jobs(
    queue: dict[str, Any], beats: list[dict[str, Any]]
) -> None:
    """Anybody may ask for /health/ready."""
    settings = Settings(max_queued_jobs=100, max_queued_bytes=1_000)
    live = [heartbeat(f"w{i}", "m", **fields) for i, fields in enumerate(beats)]
    servers = {"10.1.2.3:6379": FINE | {"role": "slave"}, "10.1.2.4:6379": None}
    work = {"m": Work(inputs=73, inputs_failed=73)}
    found = condition(settings, servers, (), depths(**queue), live, work)
    shown = found.for_caller("")
    assert [each.level for each in shown.reasons] == [each.level for each in found.reasons]
    for reason in shown.reasons:
        assert not re.search(r"\d (of|job|input)|7[123]|host|10\.1\.2", reason.text), reason.text
