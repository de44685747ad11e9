"""Reads the results that a job's page shows: the first of an ended job, the known ones of a running job."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from api.services import Services
from jobs.errors import JobGone, JobNotFound
from jobs.ledger.views import UNREADABLE
from jobs.schema import Job

MAX_RESULTS = 512 * 1024
"""Maximum bytes of results that are read."""
MAX_KNOWN = 64 * 1024
"""The same for the known results of a running job, which are read again at each refresh."""

Result = dict[str, Any] | None
"""The result of one input; None if it is too large to show."""

Results = Mapping[int, Result]
"""Results by the index of their input."""


class _Known(msgspec.Struct):
    """A known result of a running job."""

    index: int
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


_known = msgspec.json.Decoder(_Known)


async def results(shared: Services, job: Job, sees: str | None) -> tuple[Job, Results]:
    """The job's results that a page shows, and the job, which may have ended meanwhile.

    Raises JobNotFound, JobGone or QueueUnavailable.
    """
    if not job.status.terminal:
        if job.counts.succeeded + job.counts.failed == 0:
            return job, {}
        found = await shared.ledger.outcomes(job.id, 0, MAX_KNOWN, sees=sees)
        if found.known is not None:
            return found.job, dict(_decoded(found.known))
        job = found.job
    if job.results is None:
        return job, {}
    if isinstance(job.results, msgspec.Raw):
        start = bytes(job.results)
    else:
        try:
            start = await shared.ledger.reading.first_results(job.id, MAX_RESULTS, sees=sees)
        except (JobNotFound, JobGone):
            return job, {}
    return job, dict(enumerate(_complete(start)))


def _decoded(known: Sequence[bytes]) -> Iterator[tuple[int, Result]]:
    """The index and result of each outcome. Skips another program's data."""
    for each in known:
        with contextlib.suppress(*UNREADABLE):
            outcome = _known.decode(each)
            if outcome.error is not msgspec.UNSET:
                yield outcome.index, {"error": outcome.error}
            elif outcome.output is not msgspec.UNSET:
                small = len(each) <= MAX_KNOWN
                yield outcome.index, {"output": msgspec.json.decode(outcome.output)} if small else None


def _complete(start: bytes) -> Iterator[dict[str, Any]]:
    """The results in the start of a JSON list, up to the first that is incomplete or nested too deeply."""
    text, at, decoder = start.decode("utf-8", "ignore"), 1, json.JSONDecoder()
    while text[at - 1 : at] in ("[", ","):
        try:
            result, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        at += 1
        yield result
