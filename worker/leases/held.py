"""Held: a job whose lease this worker has, as far as its ending needs to know it. No I/O.

A LeasedJob is one that can be run. An Unreadable is one that cannot, as a stock client may send: all that is
left to do is to write back why.
"""

import time
from collections.abc import Sequence

import msgspec

from jobs import problem_kinds
from jobs.ledger import keys
from jobs.ledger.leasing import Claimed, Ending
from jobs.ledger.wire import UNIX_MS, Record, encode_record
from jobs.problem_kinds import FailureKind
from jobs.schema import JobState
from worker.engine.protocol import Failure
from worker.statistics import Times

Outcome = bytes | Failure
"""An output as JSON, or why there is none."""


class Work(msgspec.Struct, frozen=True):
    """What the micro-batches of a job say of it."""

    compute: float | None = None
    batch: tuple[float, float | None] | None = None
    tokens: int | None = None
    order: list[int] | None = None
    """As in Record."""


NO_WORK = Work()
"""Of a job that ended without its inputs having run."""


class Held:
    """A job that this worker holds the lease of."""

    def __init__(self, claimed: Claimed, model: str, created: int, count: int, traceparent: object) -> None:
        self.claimed = claimed
        self.model = model
        self.created = created
        """Unix ms by the server's clock; a stock client may have written anything."""
        self.count = count
        """Inputs in all."""
        self.traceparent = traceparent
        """What its trace is, if it has one; a stock client may give anything."""
        self.failures: Sequence[Failure] = ()
        """Why its inputs failed, one for each that did; known once it has ended."""
        self._claimed_at = time.monotonic()
        self._started: int | None = None
        self._compute_ms = 0.0

    @property
    def id(self) -> str:
        return self.claimed.id

    @property
    def started(self) -> bool:
        return self._started is not None

    @property
    def begun(self) -> int | None:
        """When its first micro-batch began, in Unix ms by the server's clock."""
        return self._started

    def now(self) -> int:
        """Unix ms by the server's clock: the time of the claim, and this machine's steady clock since."""
        return self.claimed.claimed_ms + int((time.monotonic() - self._claimed_at) * 1000)

    def times(self) -> Times:
        """How long it waited, computed and took until now; it has just ended."""
        total = max(0, self.now() - self.created) / 1000
        if self._started is None:
            return Times(None, None, total)
        return Times(max(0, self._started - self.created) / 1000, self._compute_ms / 1000, total)

    def failed(self, kind: FailureKind, detail: str) -> Ending:
        """The ending of a job none of whose inputs can be run."""
        self.failures = [Failure(kind, detail)] * self.count
        return self._ending(JobState.FAILED, results_json(self.failures))

    def expired(self) -> Ending:
        """The ending of a job that did not start in time."""
        return self._ending(JobState.EXPIRED, None)

    def _ending(self, state: JobState, results: bytes | None, work: Work = NO_WORK) -> Ending:
        record = Record(
            s=state is JobState.SUCCEEDED,
            r=results,
            id=self.id,
            q=keys.queue_name(self.model),
            t=self.claimed.attempts + self.started,
            et=self.created,
            st=self._started or self.claimed.claimed_ms,
            n=self.count,
            failed=len(self.failures),
            tokens=work.tokens,
            compute=work.compute,
            batch=work.batch,
            order=work.order,
            state=state,
            ft=UNIX_MS,
        )
        return Ending(self.id, self.claimed.token, state, encode_record(record))


class Unreadable(Held):
    """A job that cannot be run, and the reason."""

    def __init__(
        self, claimed: Claimed, model: str, created: int, count: int, traceparent: object, reason: str
    ) -> None:
        super().__init__(claimed, model, created, count, traceparent)
        self.reason = reason

    def ending(self) -> Ending:
        return self.failed("invalid-request", self.reason)


def results_json(outcomes: Sequence[Outcome]) -> bytes:
    """What a record keeps of all inputs in order."""
    return b"[" + b",".join(map(outcome_json, outcomes)) + b"]"


def outcome_json(outcome: Outcome) -> bytes:
    """What a client sees of one input."""
    if isinstance(outcome, bytes):
        return b'{"output":' + outcome + b"}"
    return b'{"error":' + msgspec.json.encode(problem_kinds.failure(outcome.kind, outcome.detail)) + b"}"
