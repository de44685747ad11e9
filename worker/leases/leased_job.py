"""LeasedJob: a claimed job that can be run, with its state in the worker. No I/O. `parsing.py` makes it."""

from collections.abc import Hashable, Mapping, Sequence, Set
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs import priorities, problem_kinds
from jobs.ledger.leasing import Claimed, Ending, Progress
from jobs.ledger.wire import is_ours
from jobs.owners import LEAST_WEIGHT, MOST_WEIGHT
from jobs.problem_kinds import FailureKind
from jobs.schema import JobState, NewJob
from worker.batching.flows import Item
from worker.engine.protocol import Failure, OutputFile
from worker.leases.held import HeldJob, Outcome, Work, outcome_json, results_json

NO_KEYWORDS: Mapping[str, Any] = {}

MAX_DIVIDED = 4_096
"""Most inputs of a job whose record has their lengths: its header has at most 65,535 bytes."""


class LeasedJob(HeldJob):
    """A job that this worker runs."""

    def __init__(
        self,
        claimed: Claimed,
        job: NewJob,
        created: int,
        max_bytes: int,
        keywords: Mapping[str, Any] = NO_KEYWORDS,
    ) -> None:
        """Raises TypeError or RecursionError if the parameters cannot be compared with other jobs'."""
        super().__init__(claimed, job.model, created, job.count, keywords)
        self.max_bytes = max_bytes
        self.inputs = job.inputs if isinstance(job.inputs, list) else [job.inputs]
        self.parameters = job.parameters
        self._parameters_key = msgspec.json.encode(job.parameters, order="deterministic")
        self.has_media = job.has_media
        self.unwritten: list[OutputFile] = []
        """Files of its outputs that are not in Redis yet."""
        self._has_files = False
        self.rank = priorities.rank(job.priority)
        """Its priority, 0 for the highest."""
        # a stock client may send any weight; its jobs are the anonymous owner's
        share = job.sender.weight if claimed.owner else 1.0
        self.weight = min(max(share, LEAST_WEIGHT), MOST_WEIGHT)
        """Its owner's share."""
        self.start_by = 0
        """Unix ms by the server's clock after which an unstarted job has expired; 0 for never."""
        if job.expires_in is not None and not claimed.attempts:
            self.start_by = created + int(job.expires_in * 1000)
        self.stream = keywords.get("stream") is True and is_ours(claimed.payload)
        """Whether partial answers are wanted."""
        self.unknown: Set[str] = frozenset()
        """Fields of its envelope that a newer release wrote."""
        self.items: list[Item[LeasedJob]] = []
        """Its inputs as items of the window."""
        self.over = False
        """Whether nothing more of it is run: its ending is being written, or its lease is lost."""
        self.killed_engine = False
        """Whether an engine died that ran only inputs of this job."""
        self.kills = 0
        """Engines that died while one of its inputs ran alone, without those found to be accidents."""
        self.memory_failures = 0
        """Number of its inputs for which a new engine had no memory."""
        self.killing_inputs: set[int] = set()
        """Indices of the inputs that `kills` counts."""
        self.tokens: int | None = None
        """Total tokens of its inputs as the model reads them, if they were counted at admission."""
        self.divided = 1 < self.count <= MAX_DIVIDED and "group" in keywords and is_ours(claimed.payload)
        """Whether its inputs are of several requests, which each want their part of its tokens."""
        self.lengths: list[int] | None = None
        """Length of each input, if it is divided."""
        self.noted = 0
        """Number of outcomes in its progress in Redis; these are the first in `_order`."""
        self._published = False
        """Whether clients may have read some of its outcomes."""
        self._order: list[int] = []
        """Its inputs in the order in which their outcomes became known."""
        self._outcomes: list[Outcome | None] = [None] * self.count
        self._missing = self.count
        self._bytes = 0
        self._batch_sizes: list[float] = []
        self._tokens = self._padded = 0
        self._shared = False
        """Whether one of its micro-batches, and thus the tokens counted there, included inputs of other jobs.
        """

    @property
    def done(self) -> bool:
        return self._missing == 0

    @property
    def group(self) -> Hashable:
        """Batches may mix jobs of the same group: with the same parameters, and none that runs alone."""
        return self._parameters_key, self.id if self.runs_alone else None

    @property
    def runs_alone(self) -> bool:
        """Whether it runs without neighbours: its worker was lost, or its engine died, while it ran, and it
        may be the cause."""
        return bool(self.claimed.attempts or self.killed_engine)

    @property
    def too_large(self) -> bool:
        """Whether its results exceed the limit; then the other inputs need not run."""
        return self._bytes > self.max_bytes

    @property
    def overdue(self) -> bool:
        return 0 < self.start_by <= self.now() and not self.started and not self.over

    def start(self) -> bool:
        """Records the start of one of its micro-batches; returns whether it is the first."""
        first = self._started is None
        if first:
            self._started = self.now()
        return first

    @property
    def may_have_files(self) -> bool:
        """See HeldJob."""
        return self._has_files or super().may_have_files

    def settle(self, index: int, outcome: Outcome, files: Sequence[OutputFile] = ()) -> None:
        """Sets the outcome of one input. The first outcome is final, because clients may have read it.

        `files` are those that the outcome names.
        """
        if self._outcomes[index] is not None:
            return
        self._missing -= 1
        self._order.append(index)
        self._bytes += len(outcome) if isinstance(outcome, bytes) else len(outcome.detail)
        self._outcomes[index] = outcome
        if files:
            self.unwritten += files
            self._has_files = True
            self._bytes += sum(len(one.content) for one in files)

    def failed(self, kind: FailureKind, detail: str) -> Ending:
        """See HeldJob. Nobody will see the outputs, so their files are not written."""
        self.unwritten.clear()
        return super().failed(kind, detail)

    @property
    def unsettled(self) -> list[int]:
        """The indices of inputs that have no outcome yet."""
        return [index for index, outcome in enumerate(self._outcomes) if outcome is None]

    def open_items(self, lengths: Sequence[int]) -> "Batch":
        """The items of inputs that have no outcome yet; `lengths` has one length per input."""
        score, group = self.claimed.score, self.group
        return [
            Item(self, index, score, lengths[index], group, self.rank, self.claimed.owner, self.weight)
            for index in self.unsettled
        ]

    def resume(self, noted: Sequence[bytes], spent: tuple[int, int] = (0, 0)) -> None:
        """Restores the progress that an earlier worker noted, unless some of it cannot be read.

        `spent` are the tokens, and the microseconds of the engine, that it took until then.
        """
        self.used_tokens += spent[0]
        self.used_seconds += spent[1] / 1e6
        try:
            entries = dict(map(_entry, noted))
        except (msgspec.MsgspecError, IndexError):
            return
        if len(entries) != len(noted) or max(entries, default=0) >= self.count:
            return
        for index, outcome in entries.items():
            self.settle(index, outcome)
        self.noted, self._published = len(entries), True
        self.start_by = 0  # it did start in time

    @property
    def all_noted(self) -> bool:
        return self.noted >= len(self._order)

    def progress(self, limit: int) -> Progress:
        """Returns the outcomes not yet noted; stops after the one that reaches `limit` bytes."""
        self._published = True
        outcomes: list[bytes] = []
        size = 0
        for index in self._order[self.noted :]:
            if size >= limit:
                break
            outcome = self._outcomes[index]
            assert outcome is not None
            outcomes.append(b'{"index":%d,' % index + outcome_json(outcome)[1:])
            size += len(outcomes[-1])
        known = [self._outcomes[index] for index in self._order[: self.noted + len(outcomes)]]
        failed = sum(isinstance(outcome, Failure) for outcome in known)
        spent = self.spent if self.owner else None
        return Progress(self.id, self.claimed.token, self.noted, len(known) - failed, failed, outcomes, spent)

    def killed(self, index: int) -> None:
        """Records that an engine died while this input ran alone."""
        self.kills += 1
        self.killing_inputs.add(index)

    def forgive(self, index: int, kills: int) -> None:
        """Takes back `kills`: the input has run since, so they were accidents."""
        self.kills -= kills
        self.killing_inputs.discard(index)

    def ran_in(self, items: float, tokens: int, padded: int, milliseconds: float, *, shared: bool) -> None:
        """Adds a finished micro-batch with some of its inputs; `shared`: with other jobs."""
        self._batch_sizes.append(items)
        self._tokens += tokens
        self._padded += padded
        self._compute_ms += milliseconds
        self._shared |= shared

    def charge(self, share: float, tokens: int, seconds: float) -> None:
        """Counts the job's share, between 0 and 1, of what a finished micro-batch used."""
        self.used_tokens += share * tokens
        self.used_seconds += share * seconds

    def finished(self) -> Ending:
        """The ending of a job whose inputs are all settled: failed if all of them failed."""
        if self.too_large:
            return self.failed(
                "result-too-large", f"{self._bytes} bytes of results exceed the limit of {self.max_bytes}"
            )
        outcomes = [outcome for outcome in self._outcomes if outcome is not None]
        self.failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        state = JobState.FAILED if len(self.failures) == len(outcomes) else JobState.SUCCEEDED
        batch = None
        if self._batch_sizes:
            size = sum(self._batch_sizes) / len(self._batch_sizes)
            batch = (round(size, 2), round(1 - self._tokens / self._padded, 4) if self._padded else None)
        order = self._order if self._published else None
        work = Work(round(self._compute_ms, 2), batch, self._own_tokens(), order, self.lengths)
        return self._ending(state, results_json(outcomes), work, keeps_files=True)

    def abandoned(self, kind: FailureKind, detail: str) -> Ending:
        """The ending of a job that is not run further; outcomes that clients may have read are kept."""
        if not self._published:
            return self.failed(kind, detail)
        for index in range(self.count):
            self.settle(index, Failure(kind, detail))
        return self.finished()

    def _own_tokens(self) -> int | None:
        if self.tokens is not None:
            return self.tokens
        if self.divided:
            return round(self.used_tokens) or None
        return self._tokens or None if not self._shared else None


class _Problem(msgspec.Struct):
    type: str
    detail: str


class _Entry(msgspec.Struct):
    """An outcome as `progress` writes it."""

    index: Annotated[int, Meta(ge=0)]
    output: msgspec.Raw | UnsetType = UNSET
    error: _Problem | UnsetType = UNSET


_entries = msgspec.json.Decoder(_Entry)


def _entry(data: bytes) -> tuple[int, Outcome]:
    """Raises msgspec.MsgspecError or IndexError if the data is not an outcome."""
    entry = _entries.decode(data)
    if isinstance(entry.error, _Problem):
        kind = entry.error.type.removeprefix(problem_kinds.TYPE)
        known: FailureKind = next((each for each in problem_kinds.FAILURES if each == kind), "input-failed")
        return entry.index, Failure(known, entry.error.detail)
    if entry.output is UNSET:
        raise IndexError
    return entry.index, bytes(entry.output)


Batch = list[Item[LeasedJob]]
