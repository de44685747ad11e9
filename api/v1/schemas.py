"""The answers of `/v1` and of the probes that are no job: the types that are sent and described.

A job's types are in `jobs/schema.py`; what each field means is in `api/v1/descriptions.py`.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from jobs.schema import Counts, Job, JobState, Moment


class Problem(msgspec.Struct):
    """An error (RFC 9457). `type` is stable; `pointer` or `parameter` names the offending part, if known."""

    type: str
    title: str
    status: int
    detail: str
    message: str
    instance: str | UnsetType = UNSET
    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET
    max_bytes: int | UnsetType = UNSET


class ResultError(msgspec.Struct):
    """Why one input has no output. It has no HTTP status: other inputs of the job may have succeeded."""

    type: str
    title: str
    detail: str


class Result(msgspec.Struct):
    """The result of one input: `output`, exactly what the pipeline returns for it, or `error`."""

    output: Any = UNSET
    error: ResultError | UnsetType = UNSET


class Results(msgspec.Struct):
    """A job's results, aligned with its inputs."""

    results: list[Result]


class IndexedResult(msgspec.Struct):
    """The result of one input, named by its `index`: `output` or `error`, as in Result."""

    index: int
    output: Any = UNSET
    error: ResultError | UnsetType = UNSET


class KnownResults(msgspec.Struct):
    """Results in the order in which they became known; of a running job, as many as fit."""

    status: JobState
    counts: Counts
    next: int
    results: list[IndexedResult]
    """Last, because it may be large."""


class JobPage(msgspec.Struct):
    """Newest first, `results` always null; `next` is the cursor of the next page, null on the last."""

    jobs: list[Job]
    next: str | None


class HealthCheck(msgspec.Struct):
    """One thing that jobs need."""

    ok: bool
    level: Literal["good", "degraded", "bad"]
    reason: str | UnsetType = UNSET


class Health(msgspec.Struct):
    """Whether the server is live, and whether it can run jobs."""

    status: Literal["live", "ready", "degraded", "not ready"]
    checks: dict[str, HealthCheck] | UnsetType = UNSET


class ModelObject(msgspec.Struct):
    """A model as OpenAI's clients list it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelLimits(msgspec.Struct):
    """What one job may contain."""

    max_inputs: int
    max_input_chars: int


class ModelQueue(msgspec.Struct):
    """The model's unfinished jobs."""

    waiting: int
    running: int


class ModelWorker(msgspec.Struct):
    """A live worker that serves the model."""

    id: str
    state: str
    device: str
    dtype: str
    items_per_second: float


class ModelFailure(msgspec.Struct):
    """Why inputs failed lately."""

    type: str
    title: str
    detail: str
    inputs: int
    job: str
    at: Moment


class Model(msgspec.Struct):
    """A model: what it takes, how busy it is, and the workers that serve it."""

    name: str
    aliases: list[str]
    description: str
    task: str
    default: bool
    input: str
    parameters: dict[str, Any]
    defaults: dict[str, Any]
    request: dict[str, Any]
    limits: ModelLimits
    queue: ModelQueue
    workers: list[ModelWorker]
    failures: list[ModelFailure]


class ModelList(msgspec.Struct):
    """The models that are served, in OpenAI's form (`data`) and in full (`models`)."""

    object: Literal["list"]
    data: list[ModelObject]
    models: list[Model]


ANSWERS: list[type[msgspec.Struct]] = [Job, JobPage, Results, KnownResults, ModelList, Health, Problem]
"""What a call may answer with; their parts are described with them."""
