"""Submits that come together share a script, and nothing else: each has its own answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jobs.errors import QueueUnavailable
from jobs.ledger import submitting
from jobs.ledger.submitting import Submission, Submits
from jobs.settings import Settings
from tests.waiting import until

FIXED = 4
"""Arguments before those of the jobs."""


class Server:
    """Notes what is sent, and answers each job with its own id once it is let."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def busy(self) -> bool:
        return bool(self.batches)

    async def send(self, _: Sequence[str], args: Sequence[Any]) -> list[Any]:
        ids = list(args[FIXED::5])
        self.batches.append(ids)
        await self.open.wait()
        if self.error:
            raise self.error
        return ids


def submission(job_id: str, size: int = 1) -> Submission:
    return Submission(job_id, b"x" * size, 0, 0, "", "")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def submits(server: Server) -> Submits:
    return Submits(server.send, Settings(), "sentiment")


async def start(submits: Submits, *jobs: Submission) -> list[asyncio.Task[Any]]:
    """The first is on its way when the others come."""
    tasks = [asyncio.create_task(submits.accept(job)) for job in jobs]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_shares_the_next_script(server: Server, submits: Submits) -> None:
    first = await start(submits, submission("1"))
    await until(server.busy)
    rest = await start(submits, *(submission(str(i)) for i in range(2, 6)))
    server.open.set()
    assert await asyncio.gather(*first, *rest) == ["1", "2", "3", "4", "5"]
    assert server.batches == [["1"], ["2", "3", "4", "5"]]
    assert await submits.accept(submission("6")) == "6"


async def test_a_script_has_its_limits(
    server: Server, submits: Submits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "MAX_JOBS", 2)
    monkeypatch.setattr(submitting, "MAX_BYTES", 100)
    server.open.set()
    sizes = [1, 1, 1, 1000, 1, 1]
    jobs = await start(submits, *(submission(str(i), size) for i, size in enumerate(sizes)))
    await asyncio.gather(*jobs)
    assert server.batches == [["0", "1"], ["2", "3"], ["4", "5"]]


async def test_who_goes_away_takes_nobody_along(server: Server, submits: Submits) -> None:
    first, second = await start(submits, submission("1"), submission("2"))
    await until(server.busy)
    third, fourth = await start(submits, submission("3"), submission("4"))
    first.cancel()
    third.cancel()
    server.open.set()
    assert list(await asyncio.gather(second, fourth)) == ["2", "4"]
    assert server.batches == [["1", "2"], ["4"]]


async def test_an_error_is_everybodys_and_soon_over(server: Server, submits: Submits) -> None:
    server.error = QueueUnavailable("gone")
    server.open.set()
    told = await asyncio.gather(
        *await start(submits, submission("1"), submission("2")), return_exceptions=True
    )
    assert [type(each) for each in told] == [QueueUnavailable, QueueUnavailable]
    server.error = None
    assert await submits.accept(submission("3")) == "3"


async def test_one_answer_may_be_an_error() -> None:
    async def send(_: Sequence[str], args: Sequence[Any]) -> list[Any]:
        return [QueueUnavailable("not on disk"), args[FIXED + 5]]

    mixed = Submits(send, Settings(), "sentiment")
    told = await asyncio.gather(*await start(mixed, submission("1"), submission("2")), return_exceptions=True)
    assert isinstance(told[0], QueueUnavailable)
    assert told[1] == "2"


async def test_who_waited_behind_a_failure_does_not_wait_for_another(
    server: Server, submits: Submits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "MAX_JOBS", 1)
    server.error = QueueUnavailable("gone")
    server.open.set()
    jobs = await start(submits, submission("1"), submission("2"), submission("3"))
    told = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(each) for each in told] == [QueueUnavailable] * 3
    assert server.batches == [["1"]]
