"""The types of the answers of `/v1` and of the probes, except jobs. The OpenAPI description uses them too.

A job's types are in `jobs/schema.py`. Descriptions of the fields are in `api/v1/descriptions.py`.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from jobs.schema import Counts, Job, JobState, Moment, ResultError


class Problem(msgspec.Struct):
    """An error (RFC 9457). `type` is stable. `pointer` or `parameter` names the invalid part, if known."""

    type: str
    title: str
    status: int
    detail: str
    message: str
    instance: str | UnsetType = UNSET
    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET
    max_bytes: int | UnsetType = UNSET
    policy: str | UnsetType = UNSET


class Result(msgspec.Struct):
    """The result of one input: `output`, exactly as the pipeline returns it, or `error`."""

    output: Any = UNSET
    error: ResultError | UnsetType = UNSET


class Results(msgspec.Struct):
    """A job's results, one for each input, in the order of the inputs."""

    results: list[Result]


class IndexedResult(msgspec.Struct):
    """The result of one input, named by its `index`: `output` or `error`, as in Result."""

    index: int
    output: Any = UNSET
    error: ResultError | UnsetType = UNSET


class KnownResults(msgspec.Struct):
    """Results in the order in which they became known. For a running job, as many as fit."""

    status: JobState
    counts: Counts
    next: int
    results: list[IndexedResult]
    """The last field, because it may be large."""


class JobPage(msgspec.Struct):
    """Jobs, the newest first, without `results`. `next` is the cursor of the next page, null on the last."""

    jobs: list[Job]
    next: str | None


class HealthCheck(msgspec.Struct):
    """The health of one dependency: Redis or a model."""

    ok: bool
    level: Literal["good", "degraded", "bad"]
    reason: str | UnsetType = UNSET


class Health(msgspec.Struct):
    """Whether the server is live, and whether it can run jobs."""

    status: Literal["live", "ready", "degraded", "not ready"]
    checks: dict[str, HealthCheck] | UnsetType = UNSET


class ModelObject(msgspec.Struct):
    """A model in the form that OpenAI's clients expect."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelLimits(msgspec.Struct):
    """What one job may contain."""

    max_inputs: int
    max_input_chars: int
    max_input_bytes: int | UnsetType = UNSET
    max_pixels: int | UnsetType = UNSET
    max_seconds: float | UnsetType = UNSET


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
    backend: str
    items_per_second: float


class ModelFailure(msgspec.Struct):
    """A reason why inputs failed recently."""

    type: str
    title: str
    detail: str
    inputs: int
    job: str
    at: Moment


class ModelDialect(msgspec.Struct):
    """A dialect that serves the model."""

    name: str
    calls: list[str]


class Model(msgspec.Struct):
    """A model: what it accepts, its load, and the workers that serve it."""

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
    dialects: list[ModelDialect]
    ready: bool
    queue: ModelQueue | None
    workers: list[ModelWorker]
    failures: list[ModelFailure]


class ModelList(msgspec.Struct):
    """The served models, in OpenAI's form (`data`) and in full (`models`)."""

    object: Literal["list"]
    data: list[ModelObject]
    models: list[Model]


class UsageJobs(msgspec.Struct):
    """Ended jobs, by their state."""

    succeeded: int
    failed: int
    cancelled: int
    expired: int


class UsageRow(msgspec.Struct, rename={"begin": "from", "end": "to"}):
    """What the jobs of one owner used of one model in some time."""

    owner: str
    model: str
    begin: Moment
    end: Moment
    jobs: UsageJobs
    inputs: int
    failed_inputs: int
    tokens: int
    compute_seconds: float


class UsageReport(msgspec.Struct, rename={"begin": "from", "end": "to"}):
    """What ended jobs used, sorted by owner, model and time. Without a row, nothing was used."""

    begin: Moment
    end: Moment
    by: Literal["hour", "day", "total"]
    usage: list[UsageRow]


ANSWERS: list[type[msgspec.Struct]] = [
    Job,
    JobPage,
    Results,
    KnownResults,
    ModelList,
    UsageReport,
    Health,
    Problem,
]
"""The types of answers. Their parts are described with them."""
