"""The outcome of a job: its outputs, or the problem with which a synchronous call is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from msgspec import UNSET

from api.line_calls import Result
from api.problems.problem import Refusal
from jobs.problem_kinds import OF_INPUTS, TYPE
from jobs.schema import Job, JobState, ResultError

_results = msgspec.json.Decoder(list[Result])


def outputs(job: Job, results: msgspec.Raw | None) -> list[msgspec.Raw]:
    """The JSON of each output of an ended job. Raises Refusal if the job or one of its inputs has none.

    The refusal is `invalid-request` if the input is the reason, else `job-failed`. It has the kind of the
    failure as `failure` and, if there are several inputs, the input's number as `input`.
    """
    if results is None or job.status in (JobState.CANCELLED, JobState.EXPIRED):
        raise without_results(job)
    return outputs_of(results_of(results))


def without_results(job: Job) -> Refusal:
    """The refusal for a job that ended before its inputs ran."""
    if job.status is JobState.CANCELLED:
        return Refusal("job-cancelled", f"job {job.id} was cancelled")
    if job.status is JobState.EXPIRED:
        return Refusal("job-expired", f"job {job.id} was not started in time")
    error = job.first_error
    return _failed(error, None) if error else Refusal("job-failed", f"job {job.id} failed before it ran")


def results_of(results: msgspec.Raw | bytes | bytearray) -> list[Result]:
    """The results of a job's inputs, whose outputs are not decoded."""
    return _results.decode(results)


def outputs_of(results: Sequence[Result]) -> list[msgspec.Raw]:
    """The JSON of each output. Raises Refusal, as `outputs`, for the first input that has none."""
    found: list[msgspec.Raw] = []
    for index, result in enumerate(results):
        if result.error is not UNSET:
            raise _failed(result.error, index if len(results) > 1 else None)
        assert result.output is not UNSET
        found.append(result.output)
    return found


def not_done(job: Job, headers: Mapping[str, str]) -> Refusal:
    """The refusal of a call whose job has not ended within its wait."""
    return Refusal(
        "not-done-in-time",
        f"job {job.id} has not ended yet and continues; read it with GET {job.urls['self']}",
        headers=headers,
        job_id=job.id,
    )


def of_job(refusal: Refusal, job: Job, headers: Mapping[str, str]) -> Refusal:
    """The refusal with the job's id."""
    problem = refusal.problem
    refusal.problem = replace(
        problem,
        extensions={**problem.extensions, "job_id": job.id},
        headers={**problem.headers, **headers},
    )
    return refusal


def _failed(error: ResultError, index: int | None) -> Refusal:
    kind = error.type.removeprefix(TYPE)
    place = "" if index is None else f"input {index}: "
    return Refusal(
        "invalid-request" if kind in OF_INPUTS else "job-failed",
        f"{place}{error.detail}",
        failure=kind,
        input=index,
    )
