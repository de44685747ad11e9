"""Submits that come together share a script, and nothing else: each has its own answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jobs.errors import QueueUnavailable
from jobs.ledger import submitting
from jobs.ledger.admission import Admission
from jobs.ledger.submitting import Submission, Submits
from jobs.store.lua import script
from tests.ledger import JobQueue
from tests.waiting import until


class Sent:
    """Notes what is sent, and answers each job with its own id once it is let."""

    script = script("submit")

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None
        self.refused: set[str] = set()

    async def busy(self) -> bool:
        return bool(self.batches)

    async def __call__(self, parameters: Sequence[Any]) -> list[Any]:
        fixed = 1 + len(self.script.keys) + len(self.script.arguments)
        ids = list(parameters[fixed :: len(self.script.each)])
        self.batches.append(ids)
        await self.open.wait()
        if self.error:
            raise self.error
        answers = [QueueUnavailable("not on disk") if each in self.refused else each for each in ids]
        return [*answers, len(ids), 0, 0]


def submission(job_id: str, size: int = 1) -> Submission:
    return Submission(job_id, b"x" * size, 0, 0, "", "", "")


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def submits(sent: Sent, queue: JobQueue) -> Submits:
    return Submits(queue.shards.first, sent, "sentiment", Admission(queue.shards))


async def start(submits: Submits, *jobs: Submission) -> list[asyncio.Task[Any]]:
    """The first is on its way when the others come."""
    tasks = [asyncio.create_task(submits.accept(job)) for job in jobs]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_shares_the_next_script(sent: Sent, submits: Submits) -> None:
    first = await start(submits, submission("1"))
    await until(sent.busy)
    rest = await start(submits, *(submission(str(i)) for i in range(2, 6)))
    sent.open.set()
    assert await asyncio.gather(*first, *rest) == ["1", "2", "3", "4", "5"]
    assert sent.batches == [["1"], ["2", "3", "4", "5"]]
    assert await submits.accept(submission("6")) == "6"


async def test_a_script_has_its_limits(sent: Sent, submits: Submits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "MAX_JOBS", 2)
    monkeypatch.setattr(submitting, "MAX_BYTES", 100)
    sent.open.set()
    sizes = [1, 1, 1, 1000, 1, 1]
    jobs = await start(submits, *(submission(str(i), size) for i, size in enumerate(sizes)))
    await asyncio.gather(*jobs)
    assert sent.batches == [["0", "1"], ["2", "3"], ["4", "5"]]


async def test_who_goes_away_takes_nobody_along(sent: Sent, submits: Submits) -> None:
    first, second = await start(submits, submission("1"), submission("2"))
    await until(sent.busy)
    third, fourth = await start(submits, submission("3"), submission("4"))
    first.cancel()
    third.cancel()
    sent.open.set()
    assert list(await asyncio.gather(second, fourth)) == ["2", "4"]
    assert sent.batches == [["1", "2"], ["4"]]


async def test_an_error_is_everybodys_and_soon_over(sent: Sent, submits: Submits) -> None:
    sent.error = QueueUnavailable("gone")
    sent.open.set()
    told = await asyncio.gather(
        *await start(submits, submission("1"), submission("2")), return_exceptions=True
    )
    assert [type(each) for each in told] == [QueueUnavailable, QueueUnavailable]
    sent.error = None
    assert await submits.accept(submission("3")) == "3"


async def test_one_answer_may_be_an_error(sent: Sent, submits: Submits) -> None:
    sent.refused = {"1"}
    sent.open.set()
    told = await asyncio.gather(
        *await start(submits, submission("1"), submission("2")), return_exceptions=True
    )
    assert isinstance(told[0], QueueUnavailable)
    assert told[1] == "2"


async def test_who_waited_behind_a_failure_does_not_wait_for_another(
    sent: Sent, submits: Submits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "MAX_JOBS", 1)
    sent.error = QueueUnavailable("gone")
    sent.open.set()
    jobs = await start(submits, submission("1"), submission("2"), submission("3"))
    told = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(each) for each in told] == [QueueUnavailable] * 3
    assert sent.batches == [["1"]]
