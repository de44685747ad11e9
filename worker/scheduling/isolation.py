"""Isolation: decides which inputs of failed batches to retry, so that one bad input fails alone (promise 4).

- The pipeline raised: each half is retried as a batch. A single item that raises has failed.
- The engine died or hung: each item is a suspect and is retried alone. An item that kills the engine alone
  twice has failed. While a job has suspects, the rest of its items wait here.
- Memory ran out: an item that raises this alone is retried once in a new engine.
- A job whose items killed MAX_KILLS_PER_JOB engines alone is given up: items without an outcome fail.

This module only decides. The feeder runs the trials one at a time. Before each it asks whether the window's
next batch goes first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from worker.batching.flows import Item
from worker.engine.protocol import Failure
from worker.leases.leased_job import Batch, LeasedJob
from worker.supervisor.engine import EngineDied

MAX_KILLS = 2
"""Engines that one item may kill alone: the first death may be an accident."""

MAX_KILLS_PER_JOB = 2 * MAX_KILLS + 1
"""Engines that the items of one job may kill alone: two bad inputs fail alone, a third ends the job."""

MAX_MEMORY_FAILURES = 3
"""Items of one job that may cost a restart each because a new engine has no memory for them either."""

Verdicts = list[tuple[Item[LeasedJob], Failure]]
"""Items that have failed, with the reason."""


@dataclass(slots=True, eq=False)
class Trial:
    """A batch to run; one from the window is a first trial."""

    batch: Batch
    suspect: bool = False
    """Whether its only item was in a batch whose engine died; it must be the only batch in the engine."""
    kills: int = 0
    """Engines that died while it ran alone."""
    error: EngineDied | None = None
    """The error of the last such death."""
    out_of_memory: bool = False
    """Whether its only item ran out of memory before; a new engine then retries it."""
    retry: bool = False
    """Whether it was in a batch that failed; then it starts in an empty engine."""

    @property
    def rank(self) -> int:
        """The highest priority of its items."""
        return min([item.rank for item in self.batch])

    @property
    def urgency(self) -> tuple[float, int]:
        """The urgency of its most urgent item, with the sequence number to break ties."""
        return min([(item.urgency, item.sequence) for item in self.batch])

    @property
    def kills_of_jobs(self) -> int:
        """Engines that died while an item of one of its jobs ran alone."""
        return max([item.job.kills for item in self.batch])

    @property
    def place(self) -> tuple[int, int, int, tuple[float, int]]:
        """Sort key of trials: items of jobs that killed no engine come first."""
        return self.kills_of_jobs, self.kills, self.rank, self.urgency


@dataclass(slots=True)
class Rest:
    """Items of a job that wait until its suspects have been tried."""

    items: Batch
    suspects: int = 0
    """Number of the job's suspects, in the engine or not."""


@dataclass(slots=True)
class Isolation:
    """The trials of one engine."""

    hold: Callable[[LeasedJob], Batch]
    """Takes a job's items out of the window."""
    release: Callable[[Batch], None]
    """Puts items back into the window."""
    log: FilteringBoundLogger
    _trials: list[Trial] = field(default_factory=list)
    _rests: dict[LeasedJob, Rest] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of items in waiting trials."""
        return sum(len(trial.batch) for trial in self._trials)

    @property
    def jobs(self) -> int:
        """The number of jobs with suspects, in the engine or not."""
        return len(self._rests)

    def room(self, limit: int, waiting: int, batch: int) -> int:
        """Returns how many items may be claimed if `limit` may wait, `waiting` of them in the window.

        If the window is empty, a single job larger than `limit` still leaves room for a `batch`.
        """
        free = limit - waiting - len(self)
        if not self._rests:
            return free
        resting = sorted(len(rest.items) for rest in self._rests.values())
        minimum = 0 if waiting else min(batch, free - sum(resting[:-1]))
        return max(free - sum(resting), minimum)

    @property
    def heads(self) -> dict[str, float]:
        """The urgency of the most urgent item that is held here, of each owner."""
        jobs = {item.job for trial in self._trials for item in trial.batch} | self._rests.keys()
        heads: dict[str, float] = {}
        for job in jobs:
            owner, score = job.claimed.owner, job.claimed.score
            heads[owner] = min(score, heads.get(owner, score))
        return heads

    def due(self, anchor: Item[LeasedJob] | None, fatal_trial: Trial | None) -> Trial | None:
        """Returns the trial that goes before the window's next batch; None if the window goes first.

        `anchor` is the first item of the window's next batch. `fatal_trial` is the last trial, if the engine
        died running it: the window then goes first, unless that trial came from the window and had an item of
        higher priority.
        """
        self._drop_ended()
        first = min(self._trials, key=lambda trial: trial.place, default=None)
        if first is None or anchor is None:
            return first
        if fatal_trial is None:
            goes_first = first.urgency[0] <= anchor.urgency
        else:
            goes_first = not fatal_trial.suspect and first.rank < anchor.rank and not first.kills_of_jobs
        return first if goes_first else None

    def take(self, trial: Trial) -> None:
        """Removes a trial that is about to run."""
        trial.retry = True
        self._trials.remove(trial)

    def ran(self, trial: Trial) -> None:
        """Records that the engine survived a trial."""
        if trial.kills:
            trial.batch[0].job.forgive(trial.batch[0].index, trial.kills)
        self._close(trial)

    def raised(self, trial: Trial, detail: str, *, shortage: bool = False, new: bool = False) -> Verdicts:
        """Handles a trial on which the pipeline raised; returns the items that have failed.

        `shortage`: it ran out of memory. `new`: in a new engine. No failed item for a trial of one item means
        that it is to be retried in a new engine.
        """
        batch = trial.batch
        if len(batch) == 1:
            if shortage and self._retry_in_new_engine(trial, new):
                return []
            self.ran(trial)
            return [(batch[0], Failure("input-failed", detail))]
        self.log.info("pipeline raised, batch halved", items=len(batch), error=detail)
        half = len(batch) // 2
        self._trials += Trial(batch[:half]), Trial(batch[half:])
        return []

    def died(self, trial: Trial, error: EngineDied) -> Verdicts:
        """Handles a trial whose engine died or was killed; returns the items that have failed."""
        batch = trial.batch
        about = {"job": batch[0].job.id} if len(batch) == 1 else {}
        event = "engine died on one input" if trial.suspect else "engine died"
        self.log.error(event, **about, items=len(batch), error=str(error))
        if len({item.job for item in batch}) == 1:
            batch[0].job.killed_engine = True
        remaining = _not_over(batch)
        if len(batch) == 1 and remaining:
            return self._killed(trial, error)
        if not remaining:
            self._close(trial)
        for item in remaining:
            self._suspect(Trial([item], suspect=True))
        return []

    def put_back(self, batch: Batch) -> None:
        """Returns items that were not run to the window, or to the waiting rest of their job."""
        free: Batch = []
        for item in batch:
            rest = self._rests.get(item.job)
            (free if rest is None else rest.items).append(item)
        self.release(free)

    def _drop_ended(self) -> None:
        """Removes trials of jobs that are over, for example cancelled."""
        trials, self._trials = self._trials, []
        for trial in trials:
            if remaining := _not_over(trial.batch):
                trial.batch = remaining
                self._trials.append(trial)
            else:
                self._close(trial)

    def _retry_in_new_engine(self, trial: Trial, new: bool) -> bool:
        """Whether a lone item is retried in a new engine, because others may have used up the memory."""
        job = trial.batch[0].job
        if new or trial.out_of_memory:
            job.memory_failures += 1
            return False
        if job.memory_failures >= MAX_MEMORY_FAILURES or not _not_over(trial.batch):
            return False
        trial.out_of_memory = True
        self._trials.append(trial)
        self.log.warning("out of memory on one input, retried in a new engine", job=job.id)
        return True

    def _suspect(self, trial: Trial) -> None:
        job = trial.batch[0].job
        if (rest := self._rests.get(job)) is None:
            rest = self._rests[job] = Rest(self.hold(job))
        rest.suspects += 1
        self._trials.append(trial)

    def _close(self, trial: Trial) -> None:
        """Ends a trial; after the last suspect of a job, the rest of the job returns to the window."""
        job = trial.batch[0].job
        if not trial.suspect or (rest := self._rests.get(job)) is None:
            return
        rest.suspects -= 1
        if not rest.suspects:
            del self._rests[job]
            group = job.group
            for item in rest.items:
                item.group = group
            self.release(rest.items)

    def _killed(self, trial: Trial, error: EngineDied) -> Verdicts:
        [item] = trial.batch
        job = item.job
        job.killed(item.index)
        next_trial = Trial([item], suspect=True, kills=trial.kills + 1, error=error)
        if job.kills >= MAX_KILLS_PER_JOB:
            return self._give_up(next_trial)
        if next_trial.kills >= MAX_KILLS:
            self._close(trial)
            return [(item, _failure_of(next_trial))]
        self._suspect(next_trial)
        self._close(trial)
        return []

    def _give_up(self, last: Trial) -> Verdicts:
        """Fails all items of a job that have no outcome; the first verdict is the last trial's."""
        job = last.batch[0].job
        killing_inputs = len(job.killing_inputs)
        self.log.error("job given up", job=job.id, killing_inputs=killing_inputs, kills=job.kills)
        detail = (
            f"not run, because {killing_inputs} other inputs of this job made the engine die or hang "
            f"{job.kills} times"
        )
        tried, untried = self._take_all(job)
        verdicts = [(trial.batch[0], _failure_of(trial)) for trial in (last, *tried)]
        return verdicts + [(item, Failure("job-given-up", detail)) for item in untried]

    def _take_all(self, job: LeasedJob) -> tuple[list[Trial], Batch]:
        """Returns a job's trials that killed, and its other items; none of them is in the engine."""
        tried: list[Trial] = []
        rest = self._rests.pop(job, None)
        untried = rest.items if rest else self.hold(job)
        trials, self._trials = self._trials, []
        for trial in trials:
            own = [item for item in trial.batch if item.job is job]
            trial.batch = [item for item in trial.batch if item.job is not job]
            if own and trial.kills:
                tried.append(Trial(own, kills=trial.kills, error=trial.error))
            else:
                untried += own
            if trial.batch:
                self._trials.append(trial)
        return tried, untried


def _not_over(batch: Batch) -> Batch:
    return [item for item in batch if not item.job.over]


def _failure_of(trial: Trial) -> Failure:
    assert trial.error is not None
    times = "once" if trial.kills == 1 else f"{trial.kills} times"
    return Failure(trial.error.kind, f"{trial.error} ({times}, with only this input)")
