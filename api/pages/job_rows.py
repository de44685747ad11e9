"""The rows of a job's page: inputs with their results, as far as both are known and small enough to show.

At most MAX_SHOWN inputs are shown, and after them at most MAX_SHOWN further inputs that failed.
"""

from typing import NamedTuple

import msgspec

from api.pages import unserved
from api.pages.drawings import Drawing, drawing
from api.pages.input_media import Medium, media_of
from api.pages.job_results import Results
from api.pages.output_rows import View, shortened, view_of
from api.pages.visuals import Visual, visual
from api.services import Services
from jobs import tasks
from jobs.ledger.views import MAX_SHOWN, JobInputs
from jobs.schema import Job
from jobs.wording import bytes_in_words

TOO_LARGE = "too large to show"


class Row(NamedTuple):
    """One input and its result, each with the reason if it is not shown."""

    number: int
    """Number of the input, from 1."""
    input: str | None
    no_input: str
    media: list[Medium]
    view: View | None
    no_view: str
    visual: Visual
    drawing: Drawing


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
    wrong = [i for i, result in sorted(results.items()) if result and "error" in result]
    shown = range(min(MAX_SHOWN, total))
    first = [_row(i, job, inputs, results, task) for i in shown]
    failed = [_row(i, job, inputs, results, task) for i in wrong if len(shown) <= i < total][:MAX_SHOWN]
    return Rows(first, failed, total - len(first) - len(failed), _why_no_inputs(job, inputs))


def _row(index: int, job: Job, inputs: JobInputs, results: Results, task: tasks.Task) -> Row:
    within = index < len(inputs.inputs)
    given = inputs.inputs[index] if within else msgspec.UNSET
    known = None if given is msgspec.UNSET else given
    try:
        readable = None if given is msgspec.UNSET else shortened(task.input.show(given))
        media = media_of(task.input, known, f"{job.urls['self']}/inputs/{index}")
    except (RecursionError, TypeError):  # a stock client may have sent anything
        readable, media = None, []
    result = results.get(index)
    try:
        view = view_of(result, task.output, known) if result else None
        pictured, drawn = visual(result, known, task.output), drawing(result, media, task.output)
    except (RecursionError, OverflowError):  # deeper nesting or larger numbers than a page can show
        view, pictured, drawn = None, Visual([]), Drawing()
    return Row(
        number=index + 1,
        input=readable,
        no_input=TOO_LARGE if within else "not shown here",
        media=media,
        view=view,
        no_view="" if view else _why_no_view(index, job, results),
        visual=pictured,
        drawing=drawn,
    )


def _why_no_view(index: int, job: Job, results: Results) -> str:
    if index in results:
        return TOO_LARGE
    if job.status.terminal:
        return TOO_LARGE if job.results is not None else "none"
    done = job.counts.succeeded + job.counts.failed
    return "not yet" if done <= len(results) else "not shown yet"


def _why_no_inputs(job: Job, inputs: JobInputs) -> str:
    if inputs.inputs:
        return ""
    if inputs.size:
        return f"The inputs are too large to show here ({bytes_in_words(inputs.size)})."
    if job.status.terminal:
        return "The inputs were not kept. A request with `keep_inputs` keeps them."
    return "The inputs cannot be shown."  # another program's data, or the job has just ended


def task_of(shared: Services, job: Job) -> tasks.Task:
    """The task of the job's model, or a substitute if the model is no longer served."""
    spec = shared.catalog.specs.get(job.model)
    return spec.definition if spec else unserved.TASK
