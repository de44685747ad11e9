"""Why inputs failed: the latest reasons stay few and short; an older release's counts still decode."""

from typing import get_args

import msgspec

from jobs.ledger.shard import Depth
from jobs.monitoring.failures import MAX_DETAIL, MAX_REASONS, FailureReason, newest, note
from jobs.monitoring.history import Sample
from jobs.monitoring.roster import Heartbeat
from jobs.monitoring.work import Work
from jobs.problem_kinds import TITLES, FailureKind
from tests.ledger import heartbeat


def test_the_same_reason_is_counted_and_not_repeated() -> None:
    latest: list[FailureReason] = []
    note(latest, "input-failed", "bad", 9, "one", 1.0)
    note(latest, "engine-died", "bad", 1, "two", 2.0)
    note(latest, "input-failed", "bad", 3, "three", 3.0)
    assert [(each.kind, each.inputs, each.job) for each in latest] == [
        ("engine-died", 1, "two"),
        ("input-failed", 12, "three"),
    ]


def test_many_reasons_do_not_make_a_heartbeat_large() -> None:
    beat = heartbeat()
    for i in range(1_000):
        note(beat.failures, "input-failed", f"{i} {'x' * 10_000}", 1, f"job-{i}", float(i))
    assert [each.job for each in beat.failures] == [f"job-{i}" for i in range(1_000 - MAX_REASONS, 1_000)]
    assert all(len(each.detail) <= MAX_DETAIL + 2 for each in beat.failures)
    assert len(msgspec.msgpack.encode(beat)) < 4_096


def test_the_reasons_of_several_workers_are_one_list() -> None:
    one = [FailureReason("input-failed", "bad", 2, "a", 1.0), FailureReason("engine-died", "", 1, "b", 4.0)]
    other = [FailureReason("input-failed", "bad", 5, "c", 3.0)]
    assert [(each.inputs, each.job) for each in newest(one + other)] == [(1, "b"), (7, "c")]


def test_what_an_older_release_wrote_still_counts() -> None:
    """Workers and samples without the new fields; and an older release can read what this one writes."""
    beat = msgspec.to_builtins(heartbeat(items=7))
    for name in ("inputs", "inputs_failed", "failures"):
        del beat[name]
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(beat), type=Heartbeat)
    assert (Work.of(old).items, Work.of(old).inputs, Work.of(old).failing) == (7, 0, None)

    sample = msgspec.to_builtins(Sample(Depth(0, 0, 0, 0), 1, Work(jobs=3, items=7)))
    sample[2] = sample[2][:9]
    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(sample), type=Sample)
    assert (decoded.work.jobs, decoded.work.items, decoded.work.inputs) == (3, 7, 0)

    more = Work(inputs=10, inputs_failed=9) + Work(inputs=10)
    assert (more.inputs, more.inputs_failed, more.failing) == (20, 9, 0.45)
    assert (more - Work(inputs=10)).failing == 0.9


def test_each_kind_has_its_title() -> None:
    assert set(get_args(FailureKind)) <= TITLES.keys()
