"""What is tried again, in which order, and whose batch goes first: Isolation without an engine."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from jobs.ledger.leasing import Claimed
from jobs.priorities import Priority
from jobs.schema import NewJob
from tests.worker.conftest import poison_spec
from worker.batching.flows import Item
from worker.leases.leased_job import Batch, LeasedJob
from worker.scheduling.isolation import MAX_KILLS, MAX_KILLS_PER_JOB, Isolation, Trial
from worker.supervisor.engine import EngineDied

DIED = EngineDied("it died")


class Window(list[Item[LeasedJob]]):
    """Where items wait."""

    def hold(self, job: LeasedJob) -> Batch:
        held = [item for item in self if item.job is job]
        self[:] = [item for item in self if item.job is not job]
        return held


@pytest.fixture
def window() -> Window:
    return Window()


@pytest.fixture
def isolation(window: Window) -> Isolation:
    return Isolation(window.hold, window.extend, structlog.get_logger())


numbers: Iterator[int] = iter(range(10**9))


def new_items(count: int, priority: Priority = "normal", urgency: float = 0.0) -> Batch:
    """The items of a new job."""
    claimed = Claimed(f"job {next(numbers)}", "token", b"", 0, 0, False, 0)
    new = NewJob(poison_spec().name, ["text"] * count, count, {}, priority, None)
    job = LeasedJob(claimed, new, 0, 10**6)
    items = [Item(job, i, urgency, 1, job.group, job.rank) for i in range(count)]
    for item in items:
        item.sequence = next(numbers)
    return items


def run_all(isolation: Isolation, *bad: Item[LeasedJob]) -> dict[int, str]:
    """Runs the trials that there are, one after the other; the kinds of the failures by their item's id."""
    failed: dict[int, str] = {}
    while trial := isolation.due(None, None):
        isolation.take(trial)
        verdicts: Any = []
        if any(item in bad for item in trial.batch):
            verdicts = isolation.died(trial, DIED)
        else:
            isolation.ran(trial)
        failed |= {id(item): failure.kind for item, failure in verdicts}
    return failed


def test_members_of_a_batch_that_died_are_tried_alone_and_the_bad_one_twice(isolation: Isolation) -> None:
    batch = [item for _ in range(5) for item in new_items(1)]
    isolation.died(Trial(batch), DIED)
    order: list[Item[LeasedJob]] = []
    while trial := isolation.due(None, None):
        isolation.take(trial)
        order += trial.batch
        if trial.batch == [batch[1]]:
            isolation.died(trial, DIED)
        else:
            isolation.ran(trial)
    assert order == [batch[0], batch[1], batch[2], batch[3], batch[4], batch[1]], (
        "its second trial comes last"
    )
    assert MAX_KILLS == 2


def test_the_rest_of_a_suspects_job_waits_and_then_has_its_own_batches(
    isolation: Isolation, window: Window
) -> None:
    first, other = new_items(4), new_items(2)
    window += first[2:]
    isolation.died(Trial([*first[:2], other[0]]), DIED)
    assert window == []
    isolation.put_back([other[1]])  # as one that was behind it in the engine
    assert window == []
    assert set(run_all(isolation, first[0]).values()) == {"engine-died"}
    assert sorted(item.sequence for item in window) == [item.sequence for item in (*first[2:], other[1])]
    assert {item.group for item in first[2:]}.isdisjoint({other[1].group})
    assert (first[0].job.killed_engine, other[0].job.killed_engine) == (True, False)


def test_a_job_that_kills_again_and_again_is_given_up(isolation: Isolation, window: Window) -> None:
    items = new_items(20)
    window += items[10:]
    isolation.died(Trial(items[:10]), DIED)
    failed = run_all(isolation, *items)
    assert [failed[id(item)] for item in items] == ["engine-died"] * MAX_KILLS_PER_JOB + ["job-given-up"] * 15
    assert window == []
    assert not len(isolation)


def test_what_is_in_the_window_of_a_job_that_is_given_up_fails_too(
    isolation: Isolation, window: Window
) -> None:
    """Also when the last engine died of a batch from the window, which holds one input."""
    items = new_items(9)
    window += items
    failed: dict[int, str] = {}
    for _ in range(MAX_KILLS_PER_JOB):
        trial = isolation.due(None, None) or Trial([window.pop(0)])
        if trial.suspect:
            isolation.take(trial)
        failed |= {id(item): failure.kind for item, failure in isolation.died(trial, DIED)}
    assert [failed[id(item)] for item in items] == ["engine-died"] * 3 + ["job-given-up"] * 6
    assert window == []


def test_items_that_wait_for_a_suspect_count_too(isolation: Isolation, window: Window) -> None:
    assert isolation.room(100, waiting=10, batch=4) == 90
    first, second = new_items(200), new_items(50)
    window += [*first[2:], *second[1:]]
    isolation.died(Trial(first[:2]), DIED)
    assert isolation.room(100, waiting=10, batch=4) == 0
    assert isolation.room(100, waiting=0, batch=4) == 4, "one hostile job must not keep out all others"
    isolation.died(Trial([second[0], *new_items(1)]), DIED)
    assert isolation.room(100, waiting=0, batch=4) == 4
    third = new_items(60)
    window += third[1:]
    isolation.died(Trial([third[0], *new_items(1)]), DIED)
    assert isolation.room(100, waiting=0, batch=4) <= 0
    assert isolation.heads == {"": 0.0}
    run_all(isolation)
    assert isolation.room(100, waiting=0, batch=4) == 100


def test_an_input_that_runs_in_the_end_does_not_count_against_its_job(isolation: Isolation) -> None:
    """Whatever else ends engines: a long job is not given up for that."""
    items = new_items(10)
    for _ in range(3):
        isolation.died(Trial(items), DIED)
        for _ in range(MAX_KILLS_PER_JOB - 1):
            trial = isolation.due(None, None)
            assert trial is not None
            isolation.take(trial)
            assert isolation.died(trial, DIED) == []
        assert run_all(isolation) == {}
    assert (items[0].job.kills, items[0].job.killing_inputs) == (0, set())


def test_items_in_halves_are_given_up_too(isolation: Isolation) -> None:
    items, other = new_items(MAX_KILLS_PER_JOB + 4), new_items(2)
    isolation.raised(Trial([*items[-4:-2], other[0], *items[-2:], other[1]]), "it raised")
    isolation.died(Trial(items[:-4]), DIED)
    failed: dict[int, str] = {}
    for _ in range(MAX_KILLS_PER_JOB):
        suspect = next(trial for trial in isolation._trials if trial.suspect)
        isolation.take(suspect)
        failed |= {id(item): failure.kind for item, failure in isolation.died(suspect, DIED)}
    assert len(failed) == len(items)
    assert [trial.batch for trial in isolation._trials] == [[other[0]], [other[1]]]


def test_after_a_death_the_window_goes_first(isolation: Isolation) -> None:
    suspects, [waits] = new_items(2, urgency=-100.0), new_items(1, urgency=100.0)
    died = Trial(suspects)
    isolation.died(died, DIED)
    assert isolation.due(waits, died) is None
    trial = isolation.due(waits, None)
    assert trial is not None, "it is more urgent"
    assert isolation.due(None, died) is trial, "nothing else waits"
    isolation.take(trial)
    isolation.died(trial, DIED)
    assert isolation.due(waits, trial) is None


def test_one_of_high_priority_that_shared_the_batch_goes_before_the_window(isolation: Isolation) -> None:
    [urgent], low, [waits] = new_items(1, "high", 5.0), new_items(1, "low"), new_items(1)
    died = Trial([*low, urgent])
    isolation.died(died, DIED)
    trial = isolation.due(waits, died)
    assert trial is not None
    assert trial.batch == [urgent]
    isolation.take(trial)
    isolation.died(trial, DIED)
    assert isolation.due(waits, trial) is None, "it has killed one itself"


def test_items_of_ended_jobs_are_not_tried(isolation: Isolation, window: Window) -> None:
    cancelled, other = new_items(3), new_items(2)
    window += cancelled[2:]
    isolation.raised(Trial([*cancelled[:2], *other]), "it raised")
    isolation.died(Trial([*new_items(1), *new_items(1)]), DIED)
    for trial in isolation._trials:
        for item in trial.batch:
            item.job.over = item.job is not other[0].job
    wanted = isolation.due(None, None)
    assert wanted is not None
    assert wanted.batch == other
    isolation.take(wanted)
    assert isolation.due(None, None) is None
    assert isolation._rests == {}


def test_a_batch_that_raised_is_halved_until_the_bad_one_is_alone(isolation: Isolation) -> None:
    items = new_items(8)
    bad, failed, runs = items[5], [], 0
    isolation.raised(Trial(items), "it raised")
    while trial := isolation.due(None, None):
        isolation.take(trial)
        runs += 1
        if bad in trial.batch:
            failed += isolation.raised(trial, "it raised")
        else:
            isolation.ran(trial)
    assert [(item, failure.kind, failure.detail) for item, failure in failed] == [
        (bad, "input-failed", "it raised")
    ]
    assert runs == 6
