"""The call `/v1/jobs` for lines of batches. A line's body is a request of `POST /v1/jobs`.

Its answer has the line's results and counts, in the form in which a job has them. As in a job, some inputs
may have failed. If all of them have, the line has failed.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from api.edge.decoding import LIGHT_BYTES
from api.line_calls import LineCall, Refused, Result
from api.problems.problem import Problem, Refusal
from api.v1.submission import json_body
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.problem_kinds import OF_INPUTS, TYPE
from jobs.schema import Counts, Job, JobState, NewJob
from jobs.settings import Settings

OF_JOBS = ("expires_in", "result_ttl", "keep_inputs", "webhook")
"""Fields about a job of the client's own. Lines share jobs, which are deleted once their rows are written.
The batch itself may have a webhook."""


class Answer(msgspec.Struct, frozen=True):
    """What a line's answer has of a job."""

    model: str
    status: JobState
    counts: Counts
    results: Sequence[Result]


def read(body: bytes, catalog: ModelCatalog, settings: Settings) -> tuple[NewJob, None]:
    """The job of a line. Raises InvalidRequest."""
    if len(body) <= LIGHT_BYTES:
        job = json_body.parse(body, catalog)
    else:
        job = json_body.parse_large(bytearray(body), catalog)
    for name in OF_JOBS:
        if getattr(job, name):
            raise InvalidRequest(f"{name}: a line of a batch cannot have this; leave it out", f"/{name}")
    return job, None


def answer(job: Job, results: Sequence[Result], context: None) -> bytes:
    """The line's results. Raises Refusal with the first error if all its inputs failed."""
    failed = sum(result.error is not UNSET for result in results)
    if failed == len(results):
        raise _failed(results)
    counts = Counts(len(results), len(results) - failed, failed, job.counts.tokens)
    return msgspec.json.encode(Answer(job.model, job.status, counts, results))


def _failed(results: Sequence[Result]) -> Refusal:
    error = results[0].error
    assert error is not UNSET
    kind = error.type.removeprefix(TYPE)
    return Refusal(
        "invalid-request" if kind in OF_INPUTS else "job-failed",
        error.detail,
        failure=kind,
        results=msgspec.to_builtins(results) if len(results) > 1 else None,
    )


def refused(problem: Problem) -> Refused:
    """The problem, as RFC 9457 has it."""
    return Refused(problem.status, msgspec.json.encode(problem.document()))


LINE = LineCall("/v1/jobs", read, answer, refused, needs_model=False)
