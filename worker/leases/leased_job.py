"""LeasedJob: one claimed job that can be run, on its way through the worker. No I/O.

`parse` makes it from a claim, whole, or an Unreadable with the reason.
"""

from collections.abc import Hashable, Set
from typing import Any

import msgspec

from jobs import priorities
from jobs.errors import InvalidRequest
from jobs.ledger.envelope import KNOWN, envelope
from jobs.ledger.leasing import Claimed, Ending
from jobs.ledger.views import UNREADABLE, input_count
from jobs.ledger.wire import FUNCTION, Payload, decode_payload
from jobs.models import ModelSpec
from jobs.schema import JobRequest, JobState, NewJob, validate_request
from worker.batching.batcher import Item
from worker.engine.protocol import Failure
from worker.leases.held import Held, Outcome, Unreadable, Work, results_json


class LeasedJob(Held):
    """A job that this worker runs."""

    def __init__(
        self, claimed: Claimed, job: NewJob, created: int, max_bytes: int, traceparent: object = None
    ) -> None:
        """Raises TypeError, RecursionError where the parameters cannot be compared with those of others."""
        super().__init__(claimed, job.model, created, job.count, traceparent)
        self.max_bytes = max_bytes
        self.inputs = job.inputs if isinstance(job.inputs, list) else [job.inputs]
        self.parameters = job.parameters
        self._alike = msgspec.json.encode(job.parameters, order="deterministic")
        self.rank = priorities.rank(job.priority)
        """Its priority, 0 for the highest."""
        self.start_by = 0
        """Unix ms by the server's clock after which an unstarted job has expired; 0 for never."""
        if job.expires_in is not None and not claimed.attempts:
            self.start_by = created + int(job.expires_in * 1000)
        self.unknown: Set[str] = frozenset()
        """Fields of its envelope that a newer release wrote."""
        self.items: list[Item[LeasedJob]] = []
        """Its inputs, as the window knows them."""
        self.over = False
        """Whether none of it is to be run any more: its ending is on its way, or its lease is lost."""
        self.deadly = False
        """Whether an engine died that ran nothing but its inputs."""
        self.kills = 0
        """Engines that died while one of its inputs ran alone, less those that turned out to be accidents."""
        self.starved = 0
        """Its inputs for which a new engine had no memory."""
        self.killers: set[int] = set()
        """Those inputs."""
        self.tokens: int | None = None
        """Tokens of its inputs as the model reads them, where they were counted when it was admitted."""
        self._outcomes: list[Outcome | None] = [None] * self.count
        self._missing = self.count
        self._bytes = 0
        self._batch_sizes: list[int] = []
        self._tokens = self._padded = 0
        self._shared = False
        """Whether inputs of others were in one of its micro-batches, and in the tokens counted there."""

    @property
    def done(self) -> bool:
        return self._missing == 0

    @property
    def group(self) -> Hashable:
        """What may share a batch: jobs with the same parameters, that have not been started before.

        A job whose worker was lost while it ran may have been the reason, and so may one whose engine died;
        it runs without neighbours now.
        """
        alone = self.id if self.claimed.attempts or self.deadly else None
        return self._alike, alone

    @property
    def too_large(self) -> bool:
        """Whether its results are more than may be kept; then the rest of its inputs need not run."""
        return self._bytes > self.max_bytes

    @property
    def overdue(self) -> bool:
        return 0 < self.start_by <= self.now() and not self.started and not self.over

    def start(self) -> bool:
        """One of its micro-batches begins; returns whether it is the first."""
        first = self._started is None
        if first:
            self._started = self.now()
        return first

    def settle(self, index: int, outcome: Outcome) -> None:
        """One of its inputs has an output, or has failed."""
        if self._outcomes[index] is None:
            self._missing -= 1
        self._bytes += len(outcome) if isinstance(outcome, bytes) else len(outcome.detail)
        self._outcomes[index] = outcome

    def killed(self, index: int) -> None:
        """An engine died while this input of it ran alone."""
        self.kills += 1
        self.killers.add(index)

    def acquitted(self, index: int, kills: int) -> None:
        """That was an accident: it has run since."""
        self.kills -= kills
        self.killers.discard(index)

    def ran_in(self, items: int, tokens: int, padded: int, milliseconds: float, *, shared: bool) -> None:
        """A micro-batch with some of its inputs is over, which it may have shared with other jobs."""
        self._batch_sizes.append(items)
        self._tokens += tokens
        self._padded += padded
        self._compute_ms += milliseconds
        self._shared |= shared

    def finished(self) -> Ending:
        """The ending of a job whose inputs are all settled: failed when all of them are."""
        if self.too_large:
            return self.failed("result-too-large", f"{self._bytes} bytes are more than {self.max_bytes}")
        outcomes = [outcome for outcome in self._outcomes if outcome is not None]
        self.failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        state = JobState.FAILED if len(self.failures) == len(outcomes) else JobState.SUCCEEDED
        batch = None
        if self._batch_sizes:
            size = sum(self._batch_sizes) / len(self._batch_sizes)
            batch = (round(size, 2), round(1 - self._tokens / self._padded, 4) if self._padded else None)
        work = Work(round(self._compute_ms, 2), batch, self._own_tokens())
        return self._ending(state, results_json(outcomes), work)

    def _own_tokens(self) -> int | None:
        if self.tokens is not None:
            return self.tokens
        return self._tokens or None if not self._shared else None


Batch = list[Item[LeasedJob]]


def parse(claimed: Claimed, spec: ModelSpec, max_bytes: int) -> LeasedJob | Unreadable:
    """The job of a claim, checked against its model, or why it cannot be run. Raises nothing.

    `max_bytes` is the most that its results may have.
    """
    try:
        payload = decode_payload(claimed.payload)
    except UNREADABLE as error:
        reason = f"the payload cannot be read: {error}"
        return Unreadable(claimed, spec.name, claimed.claimed_ms, 1, None, reason)
    created, traceparent = payload.et, payload.k.get("traceparent")
    try:
        job = LeasedJob(claimed, _runnable(payload, spec), created, max_bytes, traceparent)
    except (InvalidRequest, msgspec.ValidationError) as error:
        reason = str(error)
    except Exception as error:  # whatever a stock client has enqueued, it must not stop the others
        reason = f"{type(error).__name__}: {error}"
    else:
        job.unknown = payload.k.keys() - KNOWN
        return job
    return Unreadable(claimed, spec.name, created, input_count(payload.a), traceparent, reason)


def _runnable(payload: Payload[dict[str, Any]], spec: ModelSpec) -> NewJob:
    """Raises InvalidRequest, msgspec.ValidationError."""
    if payload.f != FUNCTION:
        raise InvalidRequest(f"unknown function {payload.f!r}; this queue runs {FUNCTION!r}")
    if len(payload.a) != 1:
        raise InvalidRequest(f"{FUNCTION} takes one argument, the inputs, not {len(payload.a)}")
    told = envelope(payload.k)
    request = JobRequest(
        inputs=payload.a[0],
        parameters=told.parameters or {},
        priority=priorities.named(told.priority),
        expires_in=msgspec.UNSET if told.expires_in is None else told.expires_in,
    )
    return validate_request(request, spec)
