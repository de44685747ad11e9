"""The page data of jobs that were submitted together, one per line of a form."""

import asyncio
from typing import Any, NamedTuple

from api.pages.job_page import Pair, decoded, pairs, task_of
from api.services import Services
from jobs.errors import JobGone, JobNotFound
from jobs.ledger.reading import BARELY
from jobs.ledger.views import Asked
from jobs.schema import Job

MOST_LINES = 200
"""Maximum lines of a form."""
MOST_RESULTS = 64 * 1024
"""Maximum bytes of one line's results that are shown here. The job's own page shows more."""
STRUCTURE = 1024
"""Maximum bytes of one line's input that are decoded, unless it is a text."""
AT_ONCE = 32
"""Maximum jobs that are read at the same time. A page must not use all connections to Redis."""


class Line(NamedTuple):
    """One line and its job. `job` is None if it was not accepted or is gone."""

    number: int
    id: str
    job: Job | None
    pair: Pair | None
    asked: Asked


async def lines(shared: Services, ids: list[str]) -> dict[str, Any]:
    """The data of the lines. Raises JobGone or JobNotFound if no job exists, and QueueUnavailable."""
    found: list[Line] = []
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        found += await asyncio.gather(*(_line(shared, start + i + 1, each) for i, each in enumerate(part)))
    if all(line.job is None for line in found):
        await shared.ledger.read(ids[0], BARELY)  # raises the right one of the two
    done = sum(line.job is None or line.job.status.terminal for line in found)
    return {
        "lines": found,
        "done": done,
        "failed": sum(_failed(line) for line in found),
        "model": next((line.job.model for line in found if line.job), ""),
        "together": _together(found),
    }


async def _line(shared: Services, number: int, job_id: str) -> Line:
    try:
        job = await shared.ledger.read(job_id, MOST_RESULTS)
    except (JobNotFound, JobGone):
        return Line(number, job_id, None, None, Asked())
    asked = await shared.ledger.asked(job_id, STRUCTURE)
    both = pairs(asked, decoded(job, MOST_RESULTS), 1, task_of(shared, job))
    return Line(number, job_id, job, both[0] if both else None, asked)


def _together(found: list[Line]) -> dict[str, Any] | None:
    """All lines as one request, or None if an input is no longer known."""
    inputs = [given for line in found for given in line.asked.inputs]
    job = found[0].job
    if job is None or len(inputs) < len(found) or any(line.asked.partial for line in found):
        return None
    parameters = found[0].asked.parameters
    asked = {"model": job.model, "inputs": inputs if len(inputs) > 1 else inputs[0]}
    return asked | ({"parameters": parameters} if parameters else {})


def _failed(line: Line) -> bool:
    return line.job is None or (line.job.status.terminal and line.job.status.value != "succeeded")
