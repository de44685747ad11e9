"""The jobs of lines in the queue: found again, gone, refused for now, divided, and cancelled at a stop."""

from typing import Any

import msgspec
import pytest

from bulk.runner.lines import queueing
from bulk.runner.lines.interface import Stop
from jobs.errors import LimitExceeded, QueueFull, QueueUnavailable
from jobs.ledger.leasing import Progress
from jobs.owners import Limits, Sender
from tests.bulk.runner.lines.conftest import Running, batch, line, rows
from tests.bulk.runner.lines.test_lines import GLAD


async def test_a_later_runner_finds_the_jobs_of_an_earlier_one(running: Running) -> None:
    lines = [line(1, {"inputs": "a"}), line(2, {"inputs": "b"})]
    first = running.begin(batch("/v1/jobs"), lines)
    [claimed] = await running.claim_some("labels")
    first.cancel()
    second = running.begin(batch("/v1/jobs"), lines)
    other = running.begin(batch("/v1/jobs", "2"), lines)  # of another batch: a job of its own
    [second_batch] = await running.claim_some("labels")
    for each in (claimed, second_batch):
        await running.work(each, "labels", lambda _: GLAD)
    assert list((await second).jobs) == [claimed.id]
    assert list((await other).jobs) == [second_batch.id]
    assert not await running.claimed("labels")


async def test_a_job_whose_record_is_gone_runs_again(running: Running) -> None:
    lines = [line(1, {"inputs": "a"})]
    found, _ = await running.ran(batch("/v1/jobs"), lines, "labels", lambda _: GLAD)
    await running.lines.release(found.jobs)
    again, jobs = await running.ran(batch("/v1/jobs"), lines, "labels", lambda _: GLAD)
    assert jobs == [["a"]]
    assert set(again.jobs).isdisjoint(found.jobs)
    assert again.output


@pytest.mark.parametrize(
    "refusal",
    [
        QueueFull("full", model="labels", reason="jobs", depth=1),
        LimitExceeded("limited", policy="queued-jobs", retry_after=5),
        LimitExceeded("limited", policy="tokens", retry_after=0),
        QueueUnavailable("away"),
    ],
)
async def test_what_is_full_or_away_is_waited_for(
    running: Running, refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, left = running.services.ledger.submit, [refusal] * 3

    async def refused(*given: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return await submit(*given, **options)

    monkeypatch.setattr(running.services.ledger, "submit", refused)
    monkeypatch.setattr(queueing, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(queueing, "FULL_PAUSE", 0.01)
    found, jobs = await running.ran(batch("/v1/jobs"), [line(1, {"inputs": "a"})], "labels", lambda _: GLAD)
    assert jobs == [["a"]]
    assert not left
    assert found.output


async def test_at_a_stop_a_full_queue_is_not_waited_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()

    async def full(*given: Any, **options: Any) -> Any:
        stop.set("expired")
        raise QueueFull("full", model="labels", reason="jobs", depth=1)

    monkeypatch.setattr(running.services.ledger, "submit", full)
    found = await running.begin(batch("/v1/jobs"), [line(1, {"inputs": "a"})], stop)
    assert [each.number for each in found.left] == [1]


async def test_a_job_above_a_limit_of_the_sender_is_divided(running: Running) -> None:
    owner = Sender("alice", key="k", limits=Limits(queued_inputs=2))
    lines = [line(number, {"inputs": ["a"] * number}) for number in (1, 1, 1, 3)]
    lines = [each._replace(number=at, custom_id=f"line-{at}") for at, each in enumerate(lines)]
    found, jobs = await running.ran(batch("/v1/jobs", sender=owner), lines, "labels", lambda _: GLAD)
    assert max(map(len, jobs)) <= 2
    assert rows(found.output).keys() == {"line-0", "line-1", "line-2"}
    assert rows(found.errors)["line-3"]["response"]["status_code"] == 413


async def test_at_a_stop_known_outcomes_are_kept_and_jobs_are_cancelled(running: Running) -> None:
    lines = [line(number, {"inputs": [f"{number}a", f"{number}b"]}) for number in (1, 2, 3)]
    stop = Stop()
    begun = running.begin(batch("/v1/jobs"), lines, stop)
    [claimed] = await running.claim_some("labels")
    known = [(0, GLAD), (1, GLAD), (4, GLAD)]
    await running.queue.start([claimed], "labels")
    outcomes = [b'{"index":%d,' % index + msgspec.json.encode(result)[1:] for index, result in known]
    await running.queue.note([Progress(claimed.id, claimed.token, 0, 3, 0, outcomes, None)])
    stop.set("cancelled")
    found = await begun
    assert rows(found.output).keys() == {"line-1"}
    assert [each.number for each in found.left] == [2, 3]
    assert (await running.queue.read(claimed.id)).status == "cancelled"
    again = await running.begin(batch("/v1/jobs"), lines, stop)  # another runner, after the stop
    assert [each.number for each in again.left] == [1, 2, 3]
    never = await running.begin(batch("/v1/jobs", "2"), lines, stop)
    assert len(never.left) == 3
    listed, _ = await running.queue.recent(10)
    assert [job.id for job in listed] == [claimed.id], "no other job was submitted"
