"""HeldJob: a leased job, reduced to what its ending needs. No I/O.

A LeasedJob can be run. An Unreadable cannot (a stock client may send one): only the reason is written back.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jobs import problem_kinds
from jobs.ledger.envelope import owner, terms
from jobs.ledger.leasing import Claimed, Ending
from jobs.ledger.records import Header, encode_head
from jobs.ledger.wire import is_ours
from jobs.monitoring.failures import shortened
from jobs.problem_kinds import FailureKind
from jobs.schema import JobState
from worker.engine.protocol import Failure
from worker.statistics import Times

Outcome = bytes | Failure
"""An output as JSON, or the reason why there is none."""


class Work(msgspec.Struct, frozen=True):
    """Figures about a job from its micro-batches."""

    compute: float | None = None
    batch: tuple[float, float | None] | None = None
    tokens: int | None = None
    order: list[int] | None = None
    lengths: list[int] | None = None
    """As in records.Header."""


UNKNOWN_MEDIA: Mapping[str, Any] = {"media": 0}

NO_WORK = Work()
"""For a job that ended before its inputs ran."""


class HeldJob:
    """A job whose lease this worker holds."""

    def __init__(
        self, claimed: Claimed, model: str, created: int, count: int, keywords: Mapping[str, Any]
    ) -> None:
        self.claimed = claimed
        self.id = claimed.id
        self.model = model
        self.created = created
        """Unix ms by the server's clock; unchecked, a stock client may have written anything."""
        self.count = count
        """Number of inputs."""
        self._keywords = keywords
        """Its envelope; unchecked, a stock client may have written anything."""
        self.failures: Sequence[Failure] = ()
        """One failure for each input that failed; known once the job has ended."""
        self._claimed_at = time.monotonic()
        self._started: int | None = None
        self._compute_ms = 0.0
        self.used_tokens = 0.0
        """Tokens that were computed for a named owner's job: its part of each batch."""
        self.used_seconds = 0.0
        """Seconds of the engine, in the same way."""

    @property
    def traceparent(self) -> object:
        """Its trace context, if any; unchecked."""
        return self._keywords.get("traceparent")

    @property
    def owner(self) -> object:
        """Its owner, if it is a named one; unchecked."""
        return self._keywords.get("owner")

    @property
    def may_have_files(self) -> bool:
        """Whether files of its outputs may be in Redis."""
        return self.claimed.returned or self.claimed.known > 0

    @property
    def spent(self) -> tuple[int, int]:
        """Tokens, and microseconds of the engine, so far."""
        return round(self.used_tokens), round(self.used_seconds * 1e6)

    @property
    def started(self) -> bool:
        return self._started is not None

    @property
    def begun(self) -> int | None:
        """When its first micro-batch started, in Unix ms by the server's clock."""
        return self._started

    @property
    def running_seconds(self) -> float:
        """Seconds since its first micro-batch started; 0 before."""
        return 0.0 if self._started is None else (self.now() - self._started) / 1000

    def now(self) -> int:
        """Unix ms by the server's clock: the time of the claim plus this machine's monotonic clock since."""
        return self.claimed.claimed_ms + int((time.monotonic() - self._claimed_at) * 1000)

    def times(self) -> Times:
        """How long the job waited, computed and took in total; to be called when it ends."""
        total = max(0, self.now() - self.created) / 1000
        if self._started is None:
            return Times(None, None, total)
        return Times(max(0, self._started - self.created) / 1000, self._compute_ms / 1000, total)

    def failed(self, kind: FailureKind, detail: str) -> Ending:
        """The ending of a job none of whose inputs can be run."""
        self.failures = [Failure(kind, detail)] * self.count
        return self._ending(JobState.FAILED, results_json(self.failures), keeps_files=False)

    def expired(self) -> Ending:
        """The ending of a job that did not start in time."""
        return self._ending(JobState.EXPIRED, None, keeps_files=False)

    def _ending(
        self, state: JobState, results: bytes | None, work: Work = NO_WORK, *, keeps_files: bool
    ) -> Ending:
        first = self.failures[0] if self.failures else None
        ours = is_ours(self.claimed.payload)  # a stock client names no owner
        header = Header(
            model=self.model,
            state=state[0],
            n=self.count,
            failed=len(self.failures),
            attempts=self.claimed.attempts + self.started,
            created=self.created,
            started=self._started or self.claimed.claimed_ms,
            tokens=work.tokens,
            compute=work.compute,
            batch=work.batch,
            error=(first.kind, shortened(first.detail)) if first else None,
            worker=self.claimed.worker or None,
            order=work.order,
            owner=owner(self._keywords) if ours else "",
            lengths=work.lengths,
        )
        inputs = 0 if state is JobState.EXPIRED else self.count
        files = keeps_files if self.may_have_files else None
        usage = (inputs, len(self.failures), *self.spent) if self.owner else ()
        # what another program put in the payload's place does not say whether there are media beside it
        asked = terms(self._keywords if ours else UNKNOWN_MEDIA, usage if ours else (), files)
        return Ending(
            self.id, self.claimed.token, state, encode_head(header), results or b"", asked, self.count
        )


class Unreadable(HeldJob):
    """A job that cannot be run, and the reason."""

    def __init__(
        self, claimed: Claimed, model: str, created: int, count: int, keywords: Mapping[str, Any], reason: str
    ) -> None:
        super().__init__(claimed, model, created, count, keywords)
        self.reason = reason

    def ending(self) -> Ending:
        return self.failed("invalid-request", self.reason)


def results_json(outcomes: Sequence[Outcome]) -> bytes:
    """The results of a record: the outcomes of all inputs in order."""
    return b"[" + b",".join(map(outcome_json, outcomes)) + b"]"


def outcome_json(outcome: Outcome) -> bytes:
    """The outcome of one input as clients see it."""
    if isinstance(outcome, bytes):
        return b'{"output":' + outcome + b"}"
    return b'{"error":' + msgspec.json.encode(problem_kinds.failure(outcome.kind, outcome.detail)) + b"}"
