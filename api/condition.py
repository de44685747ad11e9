"""The health line: one level for the whole service, and in words whatever is not as it should be.

What machines ask is in `api/health.py`. People are told more: a queue that is nearly full is still ready.
A job's page and the form to try a model tell of that model alone, in the same words.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from api.fleet import ABLE
from api.words import counted
from jobs import durability
from jobs.leasing import Depth
from jobs.settings import Settings
from jobs.workers import Heartbeat

NEARLY = 0.9
"""Share of a limit from which on it is told of."""
SILENT = 2.0
"""Seconds without a heartbeat, of which there is one each second, after which a worker does not count: what a
page tells is no older."""

LOST_AFTER = 3.0
"""Seconds of silence of all workers after which it is bad, and no longer a hiccup of one beat."""

Level = Literal["good", "warn", "bad"]


class Reason(NamedTuple):
    """Why the line isn't green: `bad` keeps jobs from being accepted or run, `warn` may soon."""

    level: Level
    text: str
    todo: str = ""
    """What to do about it where that is not plain, with code between backticks."""


START = (
    "Jobs are accepted and wait. `make run` starts its worker again by itself; elsewhere start one:"
    " `BATCHLINE_REDIS_URL=… python -m worker`."
)
LOST = "If it does not come back, its jobs go to another worker within seconds, or wait for one."
SOON = "Accepted jobs wait, and are run as soon as one is."
UNWRITTEN = (
    "What it accepted last is only in its memory. Free space on its disk; it then writes the rest by itself."
)


class Condition(NamedTuple):
    """`reasons` has the worst first and is empty when all is well."""

    level: Level
    reasons: list[Reason]


AWAY = Condition(
    "bad",
    [
        Reason(
            "bad",
            "Redis cannot be reached: submits are refused or wait for it some seconds, accepted jobs wait",
        )
    ],
)


def condition(
    settings: Settings, info: Mapping[str, Any], depths: Mapping[str, Depth], beats: Sequence[Heartbeat]
) -> Condition:
    """From Redis' INFO, the queues and the live workers."""
    reasons = _of_redis(info)
    for model, depth in depths.items():
        reasons += _of_queue(settings, model, depth)
        reasons += _of_workers(settings, model, depth, [beat for beat in beats if beat.model == model])
    reasons.sort(key=lambda reason: reason.level != "bad")
    return Condition(reasons[0].level if reasons else "good", reasons)


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
    if ABLE.isdisjoint(engines):
        return Reason("bad", f"No engine of {model} is ready: {_doing(engines)}", SOON)
    return None


def heard(beats: Sequence[Heartbeat]) -> list[Heartbeat]:
    """Those that are not silent."""
    return [beat for beat in beats if beat.age < SILENT]


def _of_redis(info: Mapping[str, Any]) -> list[Reason]:
    reasons = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        text = f"Redis may evict keys ({policy}) and lose accepted jobs: set maxmemory-policy to noeviction"
        reasons.append(Reason("bad", text))
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
        level: Level = "bad" if used >= limit else "warn"
        if used >= NEARLY * limit:
            full = "full: submits are refused" if level == "bad" else "nearly full"
            reasons.append(
                Reason(level, f"The queue of {model} is {full} ({used:,} of {counted(limit, what)})")
            )
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
    return silent + left + restarting


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


def _doing(engines: set[str]) -> str:
    words = {"loading": "loading its model", "restarting": "restarting", "stopping": "stopping"}
    return ", ".join(sorted(words.get(engine, engine) for engine in engines))
