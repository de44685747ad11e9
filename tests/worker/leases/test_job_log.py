"""Log lines about single jobs."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from jobs.ledger.leasing import Claimed
from jobs.problem_kinds import FailureKind
from jobs.schema import JobState
from tests.jobs.ledger.test_queue import new_job
from tests.jobs.ledger.test_upgrades import newer
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving, poison_spec
from worker.leases.job_log import MAX_LINES, JobLog
from worker.leases.leased_job import LeasedJob
from worker.leases.parsing import parse
from worker.statistics import Times

Lines = list[Any]

FAST = Times(0.1, 0.05, 0.2)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def job(queue: JobQueue) -> LeasedJob:
    await queue.submit(new_job("text"))
    claimed, _ = await queue.claim(MODEL, 1)
    leased = parse(claimed[0], poison_spec(), 1_000)
    assert isinstance(leased, LeasedJob)
    return leased


def job_log() -> JobLog:
    return JobLog(structlog.get_logger(), slow=30.0)


async def test_a_job_that_succeeded_is_not_logged(job: LeasedJob, lines: Lines) -> None:
    job_log().claimed([job])
    job_log().ended(job, JobState.SUCCEEDED, FAST)
    assert lines == []


async def test_at_debug_every_step_is_logged(
    job: LeasedJob, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    job_log().claimed([job])
    job_log().ended(job, JobState.SUCCEEDED, FAST)
    assert [(line["event"], line["job"], line["log_level"]) for line in lines] == [
        ("job claimed", job.id, "debug"),
        ("job ended", job.id, "debug"),
    ]
    assert [lines[1][name] for name in ("queued_ms", "compute_ms", "total_ms")] == [100, 50, 200]


async def test_a_slow_job_is_logged(job: LeasedJob, lines: Lines) -> None:
    job_log().ended(job, JobState.EXPIRED, Times(None, None, 30.0))
    [line] = lines
    assert (line["event"], line["job"], line["state"]) == ("slow job", job.id, "expired")
    assert (line["log_level"], line["total_ms"], "queued_ms" in line) == ("info", 30_000, False)


@pytest.mark.parametrize(("kind", "level"), [("input-failed", "info"), ("engine-died", "warning")])
async def test_a_failed_job_is_logged_with_its_reason(
    job: LeasedJob, lines: Lines, kind: FailureKind, level: str
) -> None:
    job.failed(kind, "what the client wrote")
    job_log().ended(job, JobState.FAILED, FAST)
    [line] = lines
    assert (line["event"], line["job"], line["reason"], line["log_level"]) == (
        "job failed",
        job.id,
        kind,
        level,
    )
    assert "what the client wrote" not in str(line)


async def test_a_flood_of_failures_is_summed_up(job: LeasedJob, lines: Lines) -> None:
    now = [100.0]
    flooded = JobLog(structlog.get_logger(), slow=30.0, clock=lambda: now[0])
    job.failed("input-failed", "")
    for _ in range(MAX_LINES + 5):
        flooded.ended(job, JobState.FAILED, FAST)
    flooded.log_omitted()
    assert len(lines) == MAX_LINES
    now[0] += 1.0
    flooded.log_omitted()
    assert (lines[-1]["event"], lines[-1]["jobs"]) == ("lines about failed or slow jobs omitted", 5)
    flooded.ended(job, JobState.FAILED, FAST)
    assert lines[-1]["event"] == "job failed"


async def test_a_worker_logs_which_job_killed_its_engine(
    queue: JobQueue, serving: Serving, lines: Lines
) -> None:
    deadly, _ = await queue.submit(new_job("die"))
    async with serving():

        async def failed() -> bool:
            return (await queue.read(deadly.id)).status is JobState.FAILED

        await until(failed)
    about = [(line["event"], line["log_level"]) for line in lines if line.get("job") == deadly.id]
    assert about == [
        ("engine died", "error"),
        ("engine died on one input", "error"),
        ("job failed", "warning"),
    ]


async def test_fields_of_a_newer_release_are_named_at_debug(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    payload = newer({"n": 2, "region": "eu", "budget": 1})
    job = parse(Claimed("id", "token", payload, 0, 0, False, 0), poison_spec(), 1_000)
    assert isinstance(job, LeasedJob)
    job_log().claimed([job])
    assert [(line["event"], line.get("fields")) for line in lines] == [
        ("job claimed", None),
        ("unknown fields ignored", ["budget", "region"]),
    ]
