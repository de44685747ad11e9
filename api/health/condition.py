"""The judge of health: from what Redis says of itself, its queues, the live workers and their recent work.

/health/ready, the overview's health line and, over HTTP, `top` report the same judgement. A job's page and
the form to try a model report on that model alone, in the same words.

good  all is well
warn  degraded: jobs are accepted and run, but somebody should have a look
bad   jobs cannot be accepted or run: /health/ready answers 503

What a client can cause by what it sends is never bad: it must not take the server out of a load balancer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from api.health.failing import is_failing, words
from api.health.roster_cache import ABLE
from api.wording import counted, time_of_day
from jobs.ledger.queues import Depth
from jobs.monitoring.roster import Heartbeat
from jobs.monitoring.work import Work
from jobs.settings import Settings
from jobs.store import durability

NEARLY = 0.9
"""Share of a limit from which on it is told of."""
SILENT = 2.0
"""Seconds without a heartbeat, of which there is one each second, after which a worker does not count: what a
page tells is no older."""

LOST_AFTER = 3.0
"""Seconds of silence of all workers after which it is bad, and no longer a hiccup of one beat."""

RESTART = 10.0
"""Seconds that a restart may take, however fast its model loads, before it is bad."""
PATIENCE = 2
"""Times that its last load took, the same for a model that loads slowly."""

Level = Literal["good", "warn", "bad"]


class Reason(NamedTuple):
    """Why something is not well; `text` is a sentence without its full stop."""

    level: Level
    text: str
    todo: str = ""
    """What to do about it where that is not plain, with code between backticks."""
    apart: bool = False
    """Whether it is one model's fault that its worker deals with: others need not wait for that."""


START = (
    "Jobs are accepted and wait. `make run` starts its worker again by itself; elsewhere start one:"
    " `BATCHLINE_REDIS_URL=… python -m worker`."
)
LOST = "If it does not come back, its jobs go to another worker within seconds, or wait for one."
SOON = "Accepted jobs wait, and are run as soon as one is."
UNWRITTEN = (
    "What it accepted last is only in its memory. Free space on its disk; it then writes the rest by itself."
)
RETIRED = "Accepted jobs wait, and are run once the model can be loaded. Other models go on."


class Condition(NamedTuple):
    """The judgement: what is not well with `redis` and with each `model NAME`, the worst first."""

    checks: dict[str, list[Reason]]

    @property
    def reasons(self) -> list[Reason]:
        """Of all checks, the worst first."""
        return _worst_first([reason for reasons in self.checks.values() for reason in reasons])

    @property
    def level(self) -> Level:
        """Bad where one check is, but for a retired or restarting model beside one whose jobs can be run."""
        bad = [reasons[0] for reasons in self.checks.values() if reasons and reasons[0].level == "bad"]
        if any(not reason.apart for reason in bad) or len(bad) == len(self.checks) - 1 > 0:
            return "bad"
        return "warn" if self.reasons else "good"


def level_of(reasons: Sequence[Reason]) -> Level:
    """Of one check."""
    return reasons[0].level if reasons else "good"


_AWAY = "Redis cannot be reached: submits are refused or wait for it some seconds, accepted jobs wait"
AWAY = Condition({"redis": [Reason("bad", _AWAY)]})


def condition(
    settings: Settings,
    info: Mapping[str, Any],
    depths: Mapping[str, Depth],
    beats: Sequence[Heartbeat],
    work: Mapping[str, Work],
) -> Condition:
    """From Redis' INFO, the queues, the live workers, and each model's work of the last `failing.WINDOW`."""
    checks = {"redis": _of_redis(info)}
    for model, depth in depths.items():
        reasons = _of_queue(settings, model, depth)
        reasons += _of_workers(settings, model, depth, [beat for beat in beats if beat.model == model])
        if reason := failing(model, work[model]):
            reasons.append(reason)
        checks[f"model {model}"] = _worst_first(reasons)
    return Condition(checks)


def _worst_first(reasons: list[Reason]) -> list[Reason]:
    return sorted(reasons, key=lambda reason: reason.level != "bad")


def failing(model: str, work: Work) -> Reason | None:
    """Whether too many of the model's inputs failed lately."""
    return Reason("warn", words(model, work)) if is_failing(work) else None


def unserved(model: str, beats: Sequence[Heartbeat]) -> Reason | None:
    """Why none of the model's jobs can be run at this moment; `beats` are its live workers."""
    if not beats:
        return Reason("bad", f"No live worker for {model}", START)
    alive = heard(beats)
    if not alive:
        silent = min(beat.age for beat in beats)
        which = f"Worker {_name(beats[0])}" if len(beats) == 1 else "Each worker"
        level: Level = "bad" if silent >= LOST_AFTER else "warn"
        return Reason(level, f"{which} of {model} has said nothing for {silent:.0f} s", LOST)
    engines = {beat.engine for beat in alive}
    if not ABLE.isdisjoint(engines):
        return None
    if engines == {"retired"}:
        return Reason("bad", f"{model} is retired: {_fault(alive)}", RETIRED, apart=True)
    restarting = [beat for beat in alive if beat.engine == "restarting"]
    if any(map(_in_time, restarting)):
        which = (
            "The engine" if len(alive) == 1 else "Each engine" if engines == {"restarting"} else "An engine"
        )
        return Reason("warn", f"{which} of {model} is restarting", SOON)
    apart = engines <= {"restarting", "retired"}
    return Reason("bad", f"No engine of {model} is ready: {_doing(alive)}", SOON, apart)


def _in_time(restarting: Heartbeat) -> bool:
    """Whether an engine's restart takes no longer than is to be expected."""
    return restarting.restarting_seconds <= max(RESTART, PATIENCE * restarting.load_seconds)


def heard(beats: Sequence[Heartbeat]) -> list[Heartbeat]:
    """Those that are not silent."""
    return [beat for beat in beats if beat.age < SILENT]


def _of_redis(info: Mapping[str, Any]) -> list[Reason]:
    reasons = []
    if info.get("role", "master") != "master":
        reasons.append(Reason("bad", "Redis is a replica and takes no writes: submits are refused"))
    if not durability.writes(info):
        text = (
            "Redis cannot write its append-only file: submits are refused, and it must not be restarted now"
        )
        reasons.append(Reason("bad", text, UNWRITTEN))
    limit, used = info.get("maxmemory", 0), info.get("used_memory", 0)
    if limit and used >= limit:
        reasons.append(Reason("bad", "Redis' memory is full: submits are refused, running jobs still end"))
    elif limit and used >= NEARLY * limit:
        reasons.append(Reason("warn", f"Redis' memory is nearly full: {used / limit:.0%} of its maxmemory"))
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        text = f"Redis may evict keys ({policy}) and lose accepted jobs: set maxmemory-policy to noeviction"
        reasons.append(Reason("warn", text))
    return reasons


def _of_queue(settings: Settings, model: str, depth: Depth) -> list[Reason]:
    jobs = depth.waiting + depth.deferred + depth.running
    reasons = []
    if depth.damage:
        text = f"The queue of {model} cannot be used, for another program wrote to Redis: {depth.damage}"
        reasons.append(Reason("bad", text, "Delete or rename that key."))
    for used, limit, what in (
        (jobs, settings.max_queued_jobs, "job"),
        (depth.bytes, settings.max_queued_bytes, "byte"),
    ):
        if used >= NEARLY * limit:
            full = "full: submits are refused" if used >= limit else "nearly full"
            text = f"The queue of {model} is {full} ({used:,} of {counted(limit, what)})"
            reasons.append(Reason("warn", text))
    return reasons


def lost(settings: Settings) -> Reason:
    """Why a running job may not be running at all."""
    return Reason("warn", f"The worker that has this job seems lost: {_again(settings, 1)}")


def _again(settings: Settings, jobs: int) -> str:
    """What comes of jobs whose worker was lost."""
    when = f"({settings.lease:g} s after the last renewal)"
    return (
        f"it runs again when its lease ends {when}"
        if jobs == 1
        else f"they run again when their leases end {when}"
    )


def _of_workers(settings: Settings, model: str, depth: Depth, beats: Sequence[Heartbeat]) -> list[Reason]:
    alive = heard(beats)
    silent = [
        Reason("warn", f"Worker {_name(beat)} of {model} has said nothing for {beat.age:.0f} s")
        for beat in beats
        if alive and beat not in alive
    ]
    if reason := unserved(model, beats):
        return [*silent, reason._replace(text=reason.text + _held_up(depth))]
    left = []
    if depth.late:
        seem = "seems to have lost its" if depth.late == 1 else "seem to have lost their"
        text = f"{counted(depth.late, 'job')} of {model} {seem} worker: {_again(settings, depth.late)}"
        left.append(Reason("warn", text))
    restarting = [
        Reason("warn", f"An engine of {model} is restarting ({_name(beat)})")
        for beat in alive
        if beat.engine == "restarting"
    ]
    retired = [
        Reason("warn", f"An engine of {model} is retired ({_name(beat)}): {_fault([beat])}")
        for beat in alive
        if beat.retired
    ]
    return silent + left + restarting + retired


def _name(beat: Heartbeat) -> str:
    """As in the table of the workers."""
    return f"{beat.host}:{beat.pid}"


def _held_up(depth: Depth) -> str:
    """The jobs that nobody runs: those that wait, and those that a worker had taken."""
    waiting = depth.waiting + depth.deferred
    told = [f"{counted(waiting, 'job')} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
    if depth.running:
        told.append(f"{counted(depth.running, 'job')} {'was' if depth.running == 1 else 'were'} running")
    return f"; {' and '.join(told)}" if told else ""


def _fault(retired: Sequence[Heartbeat]) -> str:
    """Why, and when it is tried again."""
    first = min(retired, key=lambda beat: beat.engine_retry)
    return f"{first.engine_fault.rstrip('.')}; it is loaded again at {time_of_day(first.engine_retry)}"


def _doing(beats: Sequence[Heartbeat]) -> str:
    words = {"loading": "loading its model"}
    doing = {words.get(beat.engine, beat.engine) for beat in beats if beat.engine != "restarting"}
    if restarting := [beat for beat in beats if beat.engine == "restarting"]:
        longest = max(restarting, key=lambda beat: beat.restarting_seconds)
        loading = f"where loading took {longest.load_seconds:g} s"
        doing.add(f"restarting for {longest.restarting_seconds:.0f} s, {loading}")
    return ", ".join(sorted(doing))
