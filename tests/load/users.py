"""Locust's users: who polls, who waits, who sends lists. `make load` runs them; by hand:
`python -m locust -f tests/load/users.py --host http://127.0.0.1:8000`.

Each answer is judged (`work.py`). What a job itself says of its time goes into the report as the entries
`JOB queued`, `JOB compute` and `JOB total`.
"""

import itertools
import os
import time
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust import FastHttpUser, between, events, task

from tests.load.report import Entry, Report
from tests.load.work import Judge, Work

POLL_EVERY = 0.05
PATIENCE = 120.0
"""Seconds after which a job that has not ended counts as lost."""

SUMMARY = "LOAD_SUMMARY"
"""The environment's variable that names the file for the summary."""

judge, report = Judge(), Report()
numbers = itertools.count()


class Client(FastHttpUser):
    """What all of them do."""

    abstract = True
    wait_time = between(0, 0.05)
    connection_timeout = network_timeout = 90.0

    def on_start(self) -> None:
        self.work = Work(next(numbers))

    def submit(self, body: dict[str, Any], name: str, headers: dict[str, str] | None = None) -> Any:
        """The job, if it was accepted."""
        with self.client.post(
            "/v1/jobs", json=body, headers=headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code == 503:
                report.refused += 1
                answer.success()  # it is what a full queue must say
                gevent.sleep(min(float(answer.headers.get("retry-after", 1)), 5))
                return None
            if answer.status_code not in (200, 202):
                return self.broken(answer)
            report.accepted += 1
            return answer.json()

    def read(self, job: dict[str, Any], name: str, wait: int = 0) -> dict[str, Any]:
        """Returns the job's new state, or the old one if the request fails; the caller retries."""
        path = job["urls"]["self"] + (f"?wait={wait}" if wait else "")
        with self.client.get(path, name=name, catch_response=True) as answer:
            if answer.status_code != 200:
                self.broken(answer)
                gevent.sleep(POLL_EVERY)
                return job
            body: dict[str, Any] = answer.json()
            return body

    def broken(self, answer: Any) -> None:
        report.count_failed(f"{answer.status_code}: {answer.text or answer.error}")
        answer.failure(f"status {answer.status_code}")

    def end(self, body: dict[str, Any], job: dict[str, Any]) -> None:
        """Checks a job that ended, and records its timings."""
        report.ended += 1
        if fault := judge.fault(body, job):
            report.count_wrong(f"{job.get('id')}: {fault}")
        for entry in ("queued", "compute", "total"):
            events.request.fire(
                request_type="JOB",
                name=entry,
                response_time=job["timings"][f"{entry}_ms"] or 0.0,
                response_length=0,
                exception=None,
                context={},
            )


class Poller(Client):
    """Submits a text, and asks again and again."""

    weight = 2

    @task
    def submit_and_poll(self) -> None:
        body = self.work.one()
        job = self.submit(body, "submit")
        until = time.monotonic() + PATIENCE
        while job and not job["finished_at"]:
            if time.monotonic() > until:
                return  # accepted and never ended: lost
            gevent.sleep(POLL_EVERY)
            job = self.read(job, "poll")
        if job:
            self.end(body, job)


class Waiter(Client):
    """Submits a text and waits for its answer in the same request."""

    weight = 2

    @task
    def submit_and_wait(self) -> None:
        self.wait_for(self.work.one(), "submit and wait")

    def wait_for(self, body: dict[str, Any], name: str) -> None:
        job = self.submit(body, name, {"prefer": "wait=30"})
        until = time.monotonic() + PATIENCE
        while job and not job["finished_at"]:
            if time.monotonic() > until:
                return
            job = self.read(job, "wait on", wait=30)
        if job:
            self.end(body, job)


class Lister(Waiter):
    """Submits lists of mixed lengths, with priorities, and waits."""

    weight = 1

    @task
    def submit_and_wait(self) -> None:
        self.wait_for(self.work.many(), "submit a list and wait")


@events.quitting.add_listener
def tell(environment: Any, **_: Any) -> None:
    """The summary, for whoever started us; and the exit status."""
    report.entries = [
        Entry(
            name=f"{each.method} {each.name}",
            count=each.num_requests,
            failures=each.num_failures,
            rate=each.total_rps,
            p50=each.get_response_time_percentile(0.5) or 0.0,
            p95=each.get_response_time_percentile(0.95) or 0.0,
            p99=each.get_response_time_percentile(0.99) or 0.0,
            longest=each.max_response_time,
        )
        for each in sorted(environment.stats.entries.values(), key=lambda each: (each.method, each.name))
    ]
    if path := os.environ.get(SUMMARY):
        Path(path).write_bytes(msgspec.json.encode(report))
    environment.process_exit_code = 0 if report.good else 1
