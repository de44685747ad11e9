"""Readings: a server's state and metrics at one time, read over HTTP. `figures.py` compares two readings."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from prometheus_client.parser import text_string_to_metric_families

KEY_VARIABLE = "BATCHLINE_API_KEY"
"""The environment variable with the key for a server that requires keys."""

TIMEOUT = 5.0
"""Seconds for each request."""

SEARCHED_JOBS = 100
"""Newest jobs that are searched for failed ones."""

MAX_FAILURES = 5
"""Most failed jobs that are shown; the reason of each is fetched once."""

Level = Literal["degraded", "bad"]
"""Severity: `bad` prevents jobs from being accepted or run."""

Series = dict[tuple[str, ...], float]
"""One metric: values by model, worker and any other labels, sorted by name."""


class NoServer(Exception):
    """No answer, or the server is not Batchline; the text is one sentence for people."""


class _RedisUnavailable(Exception):
    """The server reports that Redis is unavailable."""


@dataclass(frozen=True)
class Fault:
    """A problem and its severity."""

    level: Level
    reason: str


@dataclass(frozen=True)
class Failure:
    """A job with inputs that failed."""

    id: str
    model: str
    finished: str
    """ISO 8601, by the server's clock."""
    failed: int
    inputs: int
    reason: str


@dataclass(frozen=True)
class Reading:
    """The server's answers at one time."""

    at: float
    """Seconds by this machine's monotonic clock."""
    faults: Mapping[str, Fault]
    """Name of the check -> fault: `redis`, or `model NAME`."""
    models: list[dict[str, Any]] = field(default_factory=list)
    metrics: Mapping[str, Series] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


class Server:
    """A client of a running server; uses only the public API."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url.rstrip("/")
        self._clock = clock
        key = os.environ.get(KEY_VARIABLE)
        self._client = httpx.Client(timeout=TIMEOUT, headers={"x-api-key": key} if key else None)
        self._reasons: dict[str, str] = {}

    def close(self) -> None:
        self._client.close()

    def read(self) -> Reading:
        """Returns a new reading. Raises NoServer."""
        try:
            return self._read()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoServer(f"{self.url} cannot be read: {_why(error)}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NoServer(f"{self.url} answers, but is not a Batchline server") from None

    def _read(self) -> Reading:
        checks = self._get("/health/ready", 200, 503).json()["checks"]
        found = faults(checks)
        metrics, at = parse(self._get("/metrics").text), self._clock()
        try:
            models = self._get("/v1/models").json()["models"]
            return Reading(at, found, models, metrics, self._failures(models))
        except _RedisUnavailable:
            return Reading(at, {"redis": Fault("bad", "Redis cannot be reached")} | found)

    def _failures(self, models: Sequence[Mapping[str, Any]]) -> list[Failure]:
        known = {each["job"]: _why_failed(each) for model in models for each in model.get("failures", ())}
        jobs = self._get("/v1/jobs", params={"limit": SEARCHED_JOBS}).json()["jobs"]
        failed = [job for job in jobs if job["counts"]["failed"]][:MAX_FAILURES]
        self._reasons = {job["id"]: self._reason(job, known) for job in failed}
        return [
            Failure(
                job["id"],
                job["model"],
                job["finished_at"],
                job["counts"]["failed"],
                job["counts"]["total"],
                self._reasons[job["id"]],
            )
            for job in failed
        ]

    def _reason(self, job: Mapping[str, Any], known: Mapping[str, str]) -> str:
        """Returns the reason of a failed job's first input.

        For a partly failed job, whose results may be large, returns the reason from the model's latest
        failures, or the job page's URL.
        """
        job_id = job["id"]
        if job_id in self._reasons:
            return self._reasons[job_id]
        if job["status"] != "failed":
            return known.get(job_id, f"{self.url}/jobs/{job_id}")
        results = self._get(f"/v1/jobs/{job_id}/result", 200, 404, 410).json().get("results") or [{}]
        return _why_failed(results[0].get("error", {}))

    def _get(self, path: str, *allowed: int, params: Mapping[str, Any] | None = None) -> httpx.Response:
        answer = self._client.get(self.url + path, params=params)
        if answer.status_code == 503 and 503 not in allowed:
            raise _RedisUnavailable
        if answer.status_code in (401, 403):
            raise NoServer(f"{self.url} needs an API key with the scope admin: set {KEY_VARIABLE} to one")
        if answer.status_code not in (allowed or (200,)):
            raise ValueError(f"{path} answered {answer.status_code}")
        return answer


def _why_failed(error: Mapping[str, Any]) -> str:
    return ": ".join(error[name] for name in ("title", "detail") if name in error)


def faults(checks: Mapping[str, Mapping[str, Any]]) -> dict[str, Fault]:
    """Returns the faults among the checks of /health/ready."""
    return {name: _fault(name, check) for name, check in checks.items() if "reason" in check}


def _fault(name: str, check: Mapping[str, Any]) -> Fault:
    """Returns the check's fault. An older server sends no level: its faults are bad and lack the name."""
    if "level" not in check:
        return Fault("bad", f"{name}: {check['reason']}")
    return Fault("bad" if check["level"] == "bad" else "degraded", check["reason"])


def parse(text: str) -> dict[str, Series]:
    """Parses Prometheus' text format; returns the samples by name."""
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            first = tuple(labels.pop(name) for name in ("model", "worker") if name in labels)
            rest = tuple(labels[name] for name in sorted(labels))
            found.setdefault(sample.name, {})[first + rest] = sample.value
    return found


def _why(error: Exception) -> str:
    """Returns the error's text without the address, or our own text if the library has none."""
    return str(error) or ("it did not answer in time" if isinstance(error, httpx.TimeoutException) else "")
