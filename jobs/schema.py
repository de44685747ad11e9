"""The client's view: the request, the job, its states and the transitions between them."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.errors import InvalidRequest
from jobs.inputs import admit_inputs
from jobs.models import ModelSpec
from jobs.owners import ANONYMOUS, Sender
from jobs.priorities import Priority
from jobs.webhook import Webhook

WEEK = 7 * 86_400

LAST_MS = 253_402_300_799_000
"""The last second of the year 9999, in Unix ms."""

Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its zone; RFC 3339 in JSON."""


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        return not TRANSITIONS[self]


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.EXPIRED}),
    JobState.RUNNING: frozenset(
        # back to queued when a lease ends or a worker returns the job
        {JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}


class JobRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of `POST /v1/jobs`."""

    inputs: Any
    """One input or a list of inputs, of the kind that the model's task accepts (`jobs/tasks/inputs.py`)."""
    model: str | UnsetType = UNSET
    """The model's name or one of its aliases; by default the first of `models.toml`."""
    parameters: dict[str, Any] = {}
    """Parameters of the model's task."""
    priority: Priority = "normal"
    expires_in: Annotated[float, Meta(gt=0, le=WEEK)] | UnsetType = UNSET
    """Seconds within which the job must start; otherwise it ends as `expired`."""
    result_ttl: Annotated[float, Meta(ge=1)] | UnsetType = UNSET
    """Seconds for which the ended job and its results can be read, at most BATCHLINE_MAX_RESULT_TTL."""
    keep_inputs: bool = False
    """Whether the inputs can be seen on the job's page after its end, as long as its results."""
    stream: bool = False
    """Whether the job's events have its texts as they grow, if its model can."""
    webhook: Webhook | UnsetType = UNSET
    """Where an event is sent when the job has ended."""


class Terms(Protocol):
    """What a request asks besides its inputs and parameters, in whatever form it was decoded."""

    @property
    def priority(self) -> Priority: ...
    @property
    def expires_in(self) -> float | UnsetType: ...
    @property
    def result_ttl(self) -> float | UnsetType: ...
    @property
    def keep_inputs(self) -> bool: ...
    @property
    def stream(self) -> bool: ...
    @property
    def webhook(self) -> Webhook | UnsetType: ...


class NewJob(msgspec.Struct, frozen=True):
    """A request that was validated against its model."""

    model: str
    inputs: Any
    """The request's inputs; or msgspec.Raw, which holds them in the queue's format. Media are bytes, or have
    one of the other forms in `jobs/media/values.py`."""
    count: int
    parameters: dict[str, Any]
    """The request's parameters, with the model's defaults for the rest."""
    priority: Priority
    expires_in: float | None
    sender: Sender = ANONYMOUS
    traceparent: str | None = None
    """W3C traceparent of the parent of the job's spans (`jobs/monitoring/traces.py`)."""
    result_ttl: float | None = None
    """Seconds for which the ended job can be read; None for the default."""
    keep_inputs: bool = False
    """Whether the inputs are kept with the results."""
    stream: bool = False
    """Whether partial answers are wanted."""
    webhook: Webhook | None = None
    """Where an event is sent when the job has ended."""
    has_endpoints: bool = False
    """Whether its owner has endpoints, which are told of its end too."""
    has_media: bool = False
    """Whether the inputs contain media."""
    task: str = ""
    """The model's task, by which the work for the job is estimated."""
    group: str | None = None
    """What the job is a part of, such as a batch: its record has the lengths of its inputs (`records.py`)."""
    given: dict[str, Any] | None = None
    """The client's own parameters, if the model has defaults. A repeated request is recognised by these,
    because the defaults may have changed since."""


def validate_request(request: JobRequest, spec: ModelSpec) -> NewJob:
    """Checks the request against its model. Raises InvalidRequest with a pointer to the wrong part."""
    inputs, count = admit_inputs(request.inputs, spec)
    return new_job(request, request.parameters, inputs, count, spec)


def new_job(asked: Terms, given: dict[str, Any], inputs: Any, count: int, spec: ModelSpec) -> NewJob:
    """Returns the job of a request with admitted inputs. Raises InvalidRequest for its parameters."""
    parameters = spec.effective(given)
    return NewJob(
        model=spec.name,
        inputs=inputs,
        count=count,
        parameters=parameters,
        priority=asked.priority,
        expires_in=None if asked.expires_in is UNSET else asked.expires_in,
        result_ttl=None if asked.result_ttl is UNSET else asked.result_ttl,
        keep_inputs=asked.keep_inputs,
        stream=asked.stream,
        webhook=None if asked.webhook is UNSET else asked.webhook,
        has_media=spec.definition.input.has_media,
        task=spec.task,
        given={name: parameters[name] for name in given} if spec.defaults else None,
    )


def check_lifetime(job: NewJob, longest: float) -> None:
    """Raises InvalidRequest if the job asks for a longer lifetime, in seconds, than the server allows."""
    if job.result_ttl is not None and job.result_ttl > longest:
        raise InvalidRequest(
            f"result_ttl: give at most {longest:,.15g} seconds, the limit of this server",
            pointer="/result_ttl",
        )


class Counts(msgspec.Struct, frozen=True):
    """Numbers of a job's inputs, by outcome."""

    total: int
    succeeded: int
    failed: int
    tokens: int | None = None
    """Tokens of the job's inputs as the model read them; None while not known, or if not counted."""


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds; null while not known."""

    queued_ms: float | None
    compute_ms: float | None
    total_ms: float | None


class BatchSummary(msgspec.Struct, frozen=True):
    """The job's micro-batch; the mean if its inputs ran in several."""

    size: float
    padding: float | None
    """Share of padding among the batch's tokens, 0 to 1; None if they were not counted."""


class ResultError(msgspec.Struct, frozen=True):
    """Why one input has no output. It has no HTTP status, because other inputs may have succeeded."""

    type: str
    title: str
    detail: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as shown to a client."""

    id: str
    model: str
    status: JobState
    created_at: Moment
    started_at: Moment | None = None
    finished_at: Moment | None = None
    attempts: int = 0
    position: int | None = None
    """Position among the waiting jobs of its model, from 1; an estimate if the queue has several shards."""
    results: msgspec.Raw | UnsetType | None = None
    """JSON, as the engine encoded it: a list aligned with the inputs. UNSET if too large to be read together
    with the job; read the results before the job is shown."""
    counts: Counts
    timings: Timings
    batch: BatchSummary | None = None
    first_error: ResultError | None = None
    """The error of the first failed input; its detail may be shortened. Also in listings, without results."""
    worker: str | None = None
    """The worker that ended it."""
    owner: str | UnsetType = UNSET
    """UNSET for the anonymous owner, and for callers who may not see the jobs of all owners."""
    urls: dict[str, str]

    @property
    def partly_failed(self) -> bool:
        """Whether some of its inputs failed, but not all. Such a job counts as succeeded."""
        return 0 < self.counts.failed < self.counts.total


def urls(job_id: str) -> dict[str, str]:
    """Returns the paths of a job: state, result, events and page."""
    here = f"/v1/jobs/{job_id}"
    return {"self": here, "result": f"{here}/result", "events": f"{here}/events", "page": f"/jobs/{job_id}"}


def from_ms(unix_ms: int) -> datetime:
    """Converts a ledger time for clients; clamps it, because a stock client may have written any number."""
    return datetime.fromtimestamp(min(max(unix_ms, 0), LAST_MS) / 1000, tz=UTC)
