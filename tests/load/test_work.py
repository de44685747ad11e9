"""The load's requests, and the judge of their answers."""

from typing import Any

import pytest

from tests.load.report import Entry, Report
from tests.load.work import LONGEST_LIST, PRIORITIES, Judge, Work


def test_work_is_mixed_and_alike_for_one_seed() -> None:
    first, again, other = Work(1), Work(1), Work(2)
    lists = [first.many() for _ in range(200)]
    assert lists == [again.many() for _ in range(200)]
    assert lists != [other.many() for _ in range(200)]
    sizes = [len(body["inputs"]) for body in lists]
    assert min(sizes) == 1
    assert 50 < max(sizes) <= LONGEST_LIST
    assert {body["priority"] for body in lists} == set(PRIORITIES)
    assert isinstance(first.one()["inputs"], str)


def answer(*outputs: Any, **changed: Any) -> dict[str, Any]:
    counts = {"total": len(outputs), "succeeded": len(outputs), "failed": 0}
    results = [{"output": output} for output in outputs]
    return {"status": "succeeded", "results": results, "counts": counts, **changed}


POSITIVE = {"label": "POSITIVE", "score": 0.9}
BODY = {"inputs": ["good", "great"]}


def test_right_answers_have_no_fault() -> None:
    judge = Judge()
    assert judge.fault(BODY, answer(POSITIVE, POSITIVE)) is None
    assert judge.fault({"inputs": "good"}, answer({"label": "POSITIVE", "score": 0.90001})) is None


@pytest.mark.parametrize(
    "job",
    [
        answer(POSITIVE, POSITIVE, status="expired"),
        answer(POSITIVE),
        answer(POSITIVE, None),
        answer(POSITIVE, {"label": "NEGATIVE", "score": 0.9}),
        answer(POSITIVE, {"label": "POSITIVE", "score": 0.8}),
        answer(POSITIVE, POSITIVE, results=None),
        answer(POSITIVE, POSITIVE, counts={"total": 2, "succeeded": 1, "failed": 1}),
    ],
    ids=["not succeeded", "too few", "no output", "label", "score", "no results", "counts"],
)
def test_wrong_answers_have_a_fault(job: dict[str, Any]) -> None:
    judge = Judge()
    assert judge.fault(BODY, answer(POSITIVE, POSITIVE)) is None
    assert judge.fault(BODY, job) is not None


def test_a_report_is_good_only_without_losses_and_faults() -> None:
    assert not Report().good, "nothing was answered"
    assert Report(accepted=5, ended=5, refused=3).good
    assert not Report(accepted=5, ended=4).good
    for fault in ("count_wrong", "count_failed"):
        report = Report(accepted=5, ended=5)
        getattr(report, fault)("the reason")
        assert not report.good
        assert "the reason" in report.table()


def test_the_table_has_every_entry() -> None:
    report = Report(accepted=3, ended=2, entries=[Entry("JOB queued", 2, 0, 1.5, 10, 20, 30, 40)])
    assert "1 lost" in report.table()
    [line] = [line for line in report.table().splitlines() if line.startswith("JOB queued")]
    assert line.split() == ["JOB", "queued", "2", "0", "1.5", "10", "20", "30", "40"]
