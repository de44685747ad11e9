"""Readings: what a server tells of itself at one moment, over HTTP. What follows from two of them is in
`figures.py`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT = 5.0
"""Seconds for each request."""

NEWEST = 100
"""Jobs among which failed ones are looked for."""

MOST_FAILURES = 5
"""Failed jobs that are shown; each is asked for its reason, once."""

Level = Literal["degraded", "bad"]
"""How ill something is: `bad` keeps jobs from being accepted or run."""

Series = dict[tuple[str, ...], float]
"""One metric: values by model, worker, and what other labels there are, in the order of their names."""


class NoServer(Exception):
    """Nothing answers there, or something else than Batchline; its text is one sentence for a person."""


class _Away(Exception):
    """The server answers that Redis does not."""


@dataclass(frozen=True)
class Fault:
    """What is not well."""

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
    """What the server told."""

    at: float
    """Seconds, by this machine's steady clock."""
    faults: Mapping[str, Fault]
    """By what is not well: `redis`, or `model NAME`."""
    models: list[dict[str, Any]] = field(default_factory=list)
    metrics: Mapping[str, Series] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


class Server:
    """A running server, asked as any client may."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url.rstrip("/")
        self._clock = clock
        self._client = httpx.Client(timeout=TIMEOUT)
        self._reasons: dict[str, str] = {}

    def close(self) -> None:
        self._client.close()

    def read(self) -> Reading:
        """Asks for everything. Raises NoServer."""
        try:
            return self._read()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoServer(f"{self.url} cannot be read: {_why(error)}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NoServer(f"{self.url} answers, but not as Batchline does") from None

    def _read(self) -> Reading:
        checks = self._get("/health/ready", 200, 503).json()["checks"]
        found = faults(checks)
        metrics, at = parse(self._get("/metrics").text), self._clock()
        try:
            models = self._get("/v1/models").json()["models"]
            return Reading(at, found, models, metrics, self._failures(models))
        except _Away:
            return Reading(at, {"redis": Fault("bad", "Redis cannot be reached")} | found)

    def _failures(self, models: Sequence[Mapping[str, Any]]) -> list[Failure]:
        known = {each["job"]: _why_failed(each) for model in models for each in model.get("failures", ())}
        jobs = self._get("/v1/jobs", params={"limit": NEWEST}).json()["jobs"]
        failed = [job for job in jobs if job["counts"]["failed"]][:MOST_FAILURES]
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
        """Of a failed job the first input's. Of one that failed in part, whose results may be large, what the
        model's latest failures say, or where to find it.
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
            raise _Away
        if answer.status_code not in (allowed or (200,)):
            raise ValueError(f"{path} answered {answer.status_code}")
        return answer


def _why_failed(error: Mapping[str, Any]) -> str:
    return ": ".join(error[name] for name in ("title", "detail") if name in error)


def faults(checks: Mapping[str, Mapping[str, Any]]) -> dict[str, Fault]:
    """What is not well, of the checks of /health/ready."""
    return {name: _fault(name, check) for name, check in checks.items() if "reason" in check}


def _fault(name: str, check: Mapping[str, Any]) -> Fault:
    """An older server has no levels: each reason is for something bad, and does not name it."""
    if "level" not in check:
        return Fault("bad", f"{name}: {check['reason']}")
    return Fault("bad" if check["level"] == "bad" else "degraded", check["reason"])


def parse(text: str) -> dict[str, Series]:
    """The samples of an exposition in Prometheus' text format, by the sample's name."""
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            first = tuple(labels.pop(name) for name in ("model", "worker") if name in labels)
            rest = tuple(labels[name] for name in sorted(labels))
            found.setdefault(sample.name, {})[first + rest] = sample.value
    return found


def _why(error: Exception) -> str:
    """Without the address, which the sentence has, and in words where the library has none."""
    return str(error) or ("it did not answer in time" if isinstance(error, httpx.TimeoutException) else "")
