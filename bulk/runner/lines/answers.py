"""Answers: makes rows of the results of a job, one for each of its lines."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import structlog
from msgspec import UNSET
from msgspec.structs import replace

from api.dialects import outcomes
from api.line_calls import LineCall, Result
from api.problems.exceptions import EXPECTED, problem_of
from bulk.runner.lines import rows
from bulk.runner.lines.groups import Part
from bulk.runner.lines.interface import Line, row_id
from bulk.runner.lines.rows import Row
from jobs.problem_kinds import TYPE
from jobs.schema import Counts, Job, JobState

log = structlog.get_logger(__name__)

MOST_SHARED = 2
"""Most tokens of the model's own that an input's texts share."""

OF_THE_JOB = frozenset(TYPE + kind for kind in ("job-given-up", "attempts-exhausted", "result-too-large"))
"""Failures whose reason may be another input of the job, or that it had so many."""


class Found(NamedTuple):
    """What is known of a job."""

    job: Job
    results: Sequence[Result | None]
    """The result of each input; None while it is not known. Empty if the job ended before its inputs ran."""
    lengths: Sequence[int] | None = None
    """The length of each input, if known."""


class Answers:
    """Makes the rows of one batch."""

    def __init__(self, batch_id: str, call: LineCall[Any]) -> None:
        self._batch = batch_id
        self._call = call

    def refused(self, line: Line, error: Exception, request_id: str = "", tokens: int = 0) -> Row:
        """The row of a line whose call fails. An unexpected error is logged and answered as such."""
        if not isinstance(error, EXPECTED):
            log.error("line failed", batch=self._batch, line=line.number, exc_info=error)
        status, body = self._call.refuse(problem_of(error))
        request_id = request_id or row_id(self._batch, line.number).replace("batch_", "", 1)
        return Row(line, True, rows.answered(self._batch, line, status, request_id, body), tokens)

    def of(self, part: Part, job: Job, results: Sequence[Result], tokens: int | None) -> Row:
        """The row of a line whose inputs have these results."""
        line = part.line
        failed = sum(result.error is not UNSET for result in results)
        own = replace(
            job,
            id=f"{job.id}-{line.number}",
            status=JobState.FAILED if failed == len(results) else JobState.SUCCEEDED,
            counts=Counts(len(results), len(results) - failed, failed, tokens),
            results=None,
        )
        try:
            if not results:
                raise outcomes.without_results(job)
            body = self._call.answer(own, results, part.context)
        except Exception as error:  # one line must not end the others
            return self.refused(line, error, job.id, tokens or 0)
        data = rows.answered(self._batch, line, 200, job.id, body)
        return Row(line, False, data, tokens or 0)


def divided(found: Found, parts: Sequence[Part]) -> list[tuple[Part, Sequence[Result | None], int | None]]:
    """The parts of a job with their results and tokens."""
    tokens = _tokens(found, len(found.results)) if found.job.counts.tokens is not None else None
    divided = []
    start = 0
    for part in parts:
        end = start + part.inputs
        own = None if tokens is None else tokens[end] - tokens[start]
        divided.append((part, found.results[start:end], own))
        start = end
    return divided


def _tokens(found: Found, count: int) -> list[int]:
    """The tokens of the first n inputs, for each n: the job's tokens, divided by the lengths of the inputs.

    The lengths are the tokens themselves if these were counted. They differ by a few for each input if it has
    several texts, which share some of the model's own tokens. Else they are estimates.
    """
    tokens = found.job.counts.tokens or 0
    lengths = found.lengths if found.lengths and len(found.lengths) == count else [1] * count
    before = list(accumulate(lengths, initial=0))
    whole = before[-1]
    if abs(tokens - whole) <= MOST_SHARED * count:
        return [length + (tokens - whole) * n // count for n, length in enumerate(before)]
    return [tokens * length // whole for length in before]


def is_of_the_job(result: Result | None) -> bool:
    """Whether the input may succeed in another job."""
    return result is not None and result.error is not UNSET and result.error.type in OF_THE_JOB
