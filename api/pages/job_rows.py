"""The rows of a job's page: inputs with their results, as far as both are known and small enough to show.

At most MAX_SHOWN inputs are shown, and after them at most MAX_SHOWN further inputs that failed.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from api.pages.output_rows import View, shortened, view_of
from api.pages.visuals import Visual, visual
from api.services import Services
from api.wording import bytes_in_words
from jobs import tasks
from jobs.errors import JobGone, JobNotFound
from jobs.ledger.views import MAX_SHOWN, JobInputs
from jobs.schema import Job

MAX_RESULTS = 512 * 1024
"""Maximum bytes of results that a page reads. Of larger results it shows the first."""
MAX_KNOWN = 64 * 1024
"""The same for the known results of a running job, which are read again at each refresh."""

Results = Mapping[int, dict[str, Any]]
"""Results by the index of their input."""


class Row(NamedTuple):
    """One input and its result. None means unknown, or not known yet."""

    number: int
    """Number of the input, from 1."""
    input: str | None
    result: dict[str, Any] | None
    view: View | None
    visual: Visual


class Rows(NamedTuple):
    first: list[Row]
    failed: list[Row]
    """Inputs that failed and are not among `first`."""
    hidden: int
    """Number of inputs that are not shown."""
    no_inputs: str
    """Why no input is shown; empty if inputs are shown."""


def rows(job: Job, inputs: JobInputs, results: Results, task: tasks.Task) -> Rows:
    """The rows of a job. `results` may be incomplete."""
    total = job.counts.total
    first = [_row(i, inputs, results, task) for i in range(min(MAX_SHOWN, total))]
    wrong = [i for i, result in sorted(results.items()) if "error" in result and MAX_SHOWN <= i < total]
    failed = [_row(i, inputs, results, task) for i in wrong[:MAX_SHOWN]]
    return Rows(first, failed, total - len(first) - len(failed), _why_no_inputs(job, inputs))


def _row(index: int, inputs: JobInputs, results: Results, task: tasks.Task) -> Row:
    given = inputs.inputs[index] if index < len(inputs.inputs) else msgspec.UNSET
    readable = None if given is msgspec.UNSET else shortened(task.input.show(given))
    known = None if given is msgspec.UNSET else given
    result = results.get(index)
    view = view_of(result, task.output, known) if result else None
    return Row(index + 1, readable, result, view, visual(result, known, task.output))


def _why_no_inputs(job: Job, inputs: JobInputs) -> str:
    if inputs.inputs:
        return ""
    if inputs.size:
        return f"The inputs are too large to show here ({bytes_in_words(inputs.size)})."
    return "The inputs are not kept: large ones are deleted when their job ends, the others some time later."


async def results(shared: Services, job: Job) -> tuple[Job, Results]:
    """The job's results that a page shows, and the job, which may have ended meanwhile.

    Raises JobNotFound, JobGone or QueueUnavailable.
    """
    if not job.status.terminal:
        if job.counts.succeeded + job.counts.failed == 0:
            return job, {}
        found = await shared.ledger.outcomes(job.id, 0, MAX_KNOWN)
        if found.known is not None:
            known = [msgspec.json.decode(each) for each in found.known]
            return found.job, {each.pop("index"): each for each in known}
        job = found.job
    if job.results is None:
        return job, {}
    if isinstance(job.results, msgspec.Raw):
        complete: list[dict[str, Any]] = msgspec.json.decode(job.results)
        return job, dict(enumerate(complete))
    try:
        start = await shared.ledger.reading.first_results(job.id, MAX_RESULTS)
    except (JobNotFound, JobGone):
        return job, {}
    return job, dict(enumerate(_complete(start)))


def _complete(start: bytes) -> Iterable[dict[str, Any]]:
    """The results that are complete in the start of a JSON list; all if it is the whole list."""
    text, at, decoder = start.decode("utf-8", "ignore"), 1, json.JSONDecoder()
    while text[at - 1 : at] in ("[", ","):
        try:
            result, at = decoder.raw_decode(text, at)
        except ValueError:
            return
        at += 1
        yield result


def task_of(shared: Services, job: Job) -> tasks.Task:
    """The task of the job's model, or a custom task if the model is no longer served."""
    spec = shared.catalog.specs.get(job.model)
    return spec.definition if spec else tasks.custom_task("json", {})
