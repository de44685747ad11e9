"""LeasedJob: one claimed job on its way through the worker, from payload to record. No I/O."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from jobs import problem_kinds
from jobs.errors import InvalidRequest
from jobs.ledger import keys
from jobs.ledger.leasing import Claimed, Ending
from jobs.ledger.views import UNREADABLE, input_count
from jobs.ledger.wire import FUNCTION, UNIX_MS, Payload, Record, decode_payload, encode_record
from jobs.models import ModelSpec
from jobs.schema import JobRequest, JobState, validate_request
from worker.batching.batcher import Item
from worker.engine.protocol import Failure
from worker.statistics import Times

RANKS = {"high": 0, "normal": 1, "low": 2}

Outcome = bytes | Failure
"""An output as JSON, or why there is none."""


class LeasedJob:
    """A job that this worker holds the lease of."""

    def __init__(self, claimed: Claimed, spec: ModelSpec, max_bytes: int) -> None:
        self.claimed = claimed
        self.spec = spec
        self.max_bytes = max_bytes
        self.inputs: list[Any] = []
        self.parameters: dict[str, Any] = {}
        self.start_by = 0
        """Unix ms by the server's clock after which an unstarted job has expired; 0 for never."""
        self.created = claimed.claimed_ms
        self.count = 1
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
        self.rank = RANKS["low"]
        """Its priority, 0 for the highest; a stock client's job has none and counts as low."""
        self.traceparent: object = None
        """What its trace is, if it has one; a stock client may give anything."""
        self.failures: Sequence[Failure] = ()
        """Why its inputs failed, one for each that did; known once it has ended."""
        self._claimed_at = time.monotonic()
        self._started: int | None = None
        self._outcomes: list[Outcome | None] = []
        self._missing = 0
        self._bytes = 0
        self._compute_ms = 0.0
        self._batch_sizes: list[int] = []
        self._tokens = self._padded = 0

    @property
    def id(self) -> str:
        return self.claimed.id

    @property
    def done(self) -> bool:
        return self._missing == 0

    @property
    def started(self) -> bool:
        return self._started is not None

    @property
    def begun(self) -> int | None:
        """When its first micro-batch began, in Unix ms by the server's clock."""
        return self._started

    @property
    def group(self) -> bytes:
        """What may share a batch: jobs with the same parameters, that have not been started before.

        A job whose worker was lost while it ran may have been the reason, and so may one whose engine died;
        it runs without neighbours now.
        """
        alone = self.id if self.claimed.attempts or self.deadly else None
        return msgspec.json.encode([self.parameters, alone], order="deterministic")

    def now(self) -> int:
        """Unix ms by the server's clock, as told by the claim and this machine's steady clock."""
        return self.claimed.claimed_ms + int((time.monotonic() - self._claimed_at) * 1000)

    @property
    def too_large(self) -> bool:
        """Whether its results are more than may be kept; then the rest of its inputs need not run."""
        return self._bytes > self.max_bytes

    @property
    def overdue(self) -> bool:
        return 0 < self.start_by <= self.now() and not self.started and not self.over

    def unpack(self) -> None:
        """Reads the payload. Raises InvalidRequest for one that cannot be run, as a stock client may send."""
        try:
            payload = decode_payload(self.claimed.payload)
        except UNREADABLE as error:
            raise InvalidRequest(f"the payload cannot be read: {error}") from None
        self.created, self.count = payload.et, input_count(payload.a)
        self.rank = RANKS.get(str(payload.k.get("priority")), RANKS["low"])
        self.traceparent = payload.k.get("traceparent")
        job = validate_request(_request(payload), self.spec)
        self.inputs = job.inputs if isinstance(job.inputs, list) else [job.inputs]
        self.parameters = job.parameters
        if job.expires_in is not None and not self.claimed.attempts:
            self.start_by = self.created + int(job.expires_in * 1000)
        self.count = len(self.inputs)
        self._outcomes = [None] * self.count
        self._missing = self.count

    def times(self) -> Times:
        """How long it waited, computed and took until now; it has just ended."""
        total = max(0, self.now() - self.created) / 1000
        if self._started is None:
            return Times(None, None, total)
        return Times(max(0, self._started - self.created) / 1000, self._compute_ms / 1000, total)

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

    def ran_in(self, items: int, tokens: int, padded: int, milliseconds: float) -> None:
        """A micro-batch with some of its inputs is over."""
        self._batch_sizes.append(items)
        self._tokens += tokens
        self._padded += padded
        self._compute_ms += milliseconds

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
        return self._ending(state, _results(outcomes), round(self._compute_ms, 2), batch)

    def failed(self, kind: str, detail: str) -> Ending:
        """The ending of a job none of whose inputs can be run."""
        self.failures = [Failure(kind, detail)] * self.count
        return self._ending(JobState.FAILED, _results(self.failures))

    def expired(self) -> Ending:
        """The ending of a job that did not start in time."""
        return self._ending(JobState.EXPIRED, None)

    def _ending(
        self,
        state: JobState,
        results: bytes | None,
        compute: float | None = None,
        batch: tuple[float, float | None] | None = None,
    ) -> Ending:
        record = Record(
            s=state is JobState.SUCCEEDED,
            r=results,
            id=self.id,
            q=keys.queue_name(self.spec.name),
            t=self.claimed.attempts + self.started,
            et=self.created,
            st=self._started or self.claimed.claimed_ms,
            n=self.count,
            failed=len(self.failures),
            compute=compute,
            batch=batch,
            state=state,
            ft=UNIX_MS,
        )
        return Ending(self.id, self.claimed.token, state, encode_record(record))


Batch = list[Item[LeasedJob]]


def _request(payload: Payload) -> JobRequest:
    if payload.f != FUNCTION:
        raise InvalidRequest(f"unknown function {payload.f!r}; this queue runs {FUNCTION!r}")
    if len(payload.a) != 1:
        raise InvalidRequest(f"{FUNCTION} takes one argument, the inputs, not {len(payload.a)}")
    fields: dict[str, Any] = {
        name: payload.k[name] for name in ("parameters", "expires_in") if name in payload.k
    }
    unknown = payload.k.keys() - {"parameters", "expires_in", "priority", "n", "traceparent"}
    if unknown:
        raise InvalidRequest(f"unknown keyword {min(unknown)!r}; {FUNCTION} takes parameters and expires_in")
    try:
        return msgspec.convert({"inputs": payload.a[0], **fields}, JobRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None


def _results(outcomes: Sequence[Outcome]) -> bytes:
    return b"[" + b",".join(map(_result, outcomes)) + b"]"


def _result(outcome: Outcome) -> bytes:
    if isinstance(outcome, bytes):
        return b'{"output":' + outcome + b"}"
    return b'{"error":' + msgspec.json.encode(problem_kinds.failure(outcome.kind, outcome.detail)) + b"}"
