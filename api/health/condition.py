"""Determines the health from Redis' INFO, the queues, the live workers and their recent work.

/health/ready, the overview's health line and `top` (over HTTP) report the same condition. A job's page and
the form to try a model report on that model only, in the same words.

good  all is well
warn  degraded: jobs are accepted and run, but an operator should check
bad   jobs cannot be accepted or run: /health/ready answers 503

A client's input never causes the level bad: it must not remove the server from a load balancer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from api.health.failing import is_failing, message
from api.health.reasons import Condition, Level, Reason, worst_first
from api.health.roster_cache import SERVING
from api.wording import time_of_day
from jobs.ledger.shard import Depth
from jobs.monitoring.roster import Heartbeat
from jobs.monitoring.work import Work
from jobs.settings import Settings
from jobs.store import durability
from jobs.wording import counted

NEARLY_FULL = 0.9
"""Share of a limit from which on it is reported."""
SILENT = 2.0
"""Seconds without a heartbeat (one is sent each second) after which a worker counts as silent. So no figure
on a page is older."""

LOST_AFTER = 3.0
"""Seconds without a heartbeat of any worker after which the level is bad. Before, one may just be delayed."""

MIN_RESTART = 10.0
"""Seconds that a restart may always take before the level is bad, even if the model loads faster."""
RESTART_FACTOR = 2
"""Multiple of the last load time that a restart may take, for models that load slowly."""

FIRST = 0
"""The shard with the roster and the history."""

START = (
    "Jobs are accepted and wait. `make run` restarts its worker automatically; elsewhere start one:"
    " `BATCHLINE_REDIS_URL=… python -m worker`."
)
SILENT_WORKER = (
    "If the worker does not return, another worker runs its jobs within seconds, or as soon as there is one."
)
NO_ENGINE = "Accepted jobs wait and run once an engine is ready."
UNWRITTEN = (
    "The newest jobs are only in Redis' memory. Free space on its disk; Redis then writes them by itself."
)
RETIRED = "Accepted jobs wait and run once the model can be loaded. Other models are not affected."


_UNREACHABLE = "Redis cannot be reached: submits are refused or delayed by some seconds, accepted jobs wait"
UNREACHABLE = Condition({"redis": [Reason("bad", _UNREACHABLE)]})


def condition(
    settings: Settings,
    servers: Mapping[str, Mapping[str, Any] | None],
    unavailable: Sequence[int],
    depths: Mapping[str, Depth],
    beats: Sequence[Heartbeat],
    work: Mapping[str, Work],
) -> Condition:
    """The condition, from what `Observation` describes; `work` is each model's of `failing.WINDOW`."""
    reasons = _of_shards(unavailable)
    for address, info in servers.items():
        public = _of_redis("A Redis server" if address else "Redis", info)
        named = _of_redis(f"Redis at {address}", info) if address else public
        reasons += [each._replace(public=other.text) for each, other in zip(named, public, strict=True)]
    checks = {"redis": worst_first(reasons)}
    for model, depth in depths.items():
        reasons = _of_queue(settings, model, depth)
        if FIRST in unavailable:
            checks[f"model {model}"] = worst_first(reasons)
            continue
        reasons += _of_workers(settings, model, depth, [beat for beat in beats if beat.model == model])
        if reason := failing(model, work[model]):
            reasons.append(reason)
        checks[f"model {model}"] = worst_first(reasons)
    return Condition(checks)


def failing(model: str, work: Work) -> Reason | None:
    """A reason if too many of the model's inputs failed recently, else None."""
    public = f"Many inputs of {model} failed lately"
    return Reason("warn", message(model, work), public=public) if is_failing(work) else None


def unserved(model: str, beats: Sequence[Heartbeat]) -> Reason | None:
    """The reason why none of the model's jobs can be run now, or None. `beats` are its live workers."""
    if not beats:
        return Reason("bad", f"No live worker for {model}", START)
    alive = responding(beats)
    if not alive:
        silent = min(beat.age for beat in beats)
        which = f"Worker {_name(beats[0])}" if len(beats) == 1 else "Each worker"
        level: Level = "bad" if silent >= LOST_AFTER else "warn"
        late = f"of {model} has sent no heartbeat for {silent:.0f} s"
        return Reason(level, f"{which} {late}", SILENT_WORKER, public=f"Each worker {late}")
    engines = {beat.engine for beat in alive}
    if not SERVING.isdisjoint(engines):
        return None
    if engines == {"retired"}:
        text, public = (f"{model} is retired{why}" for why in _fault(alive))
        return Reason("bad", text, RETIRED, isolated=True, public=public)
    restarting = [beat for beat in alive if beat.engine == "restarting"]
    if any(map(_in_time, restarting)):
        which = (
            "The engine" if len(alive) == 1 else "Each engine" if engines == {"restarting"} else "An engine"
        )
        return Reason("warn", f"{which} of {model} is restarting", NO_ENGINE)
    isolated = engines <= {"restarting", "retired"}
    return Reason("bad", f"No engine of {model} is ready: {_states(alive)}", NO_ENGINE, isolated)


def _in_time(restarting: Heartbeat) -> bool:
    """Whether an engine's restart has not yet exceeded the expected time."""
    return restarting.restarting_seconds <= max(MIN_RESTART, RESTART_FACTOR * restarting.load_seconds)


def responding(beats: Sequence[Heartbeat]) -> list[Heartbeat]:
    """The workers that are not silent."""
    return [beat for beat in beats if beat.age < SILENT]


def _of_shards(unavailable: Sequence[int]) -> list[Reason]:
    if not unavailable:
        return []
    one = len(unavailable) == 1
    which = f"Shard{'' if one else 's'} {', '.join(map(str, unavailable))}"
    text = (
        f"{which} cannot be reached: {'its' if one else 'their'} jobs wait, new jobs go to the other shards"
    )
    if FIRST in unavailable:
        text += "; the workers and the charts are not known meanwhile"
    return [Reason("warn", text)]


def _of_redis(name: str, info: Mapping[str, Any] | None) -> list[Reason]:
    if info is None:
        return [Reason("warn", f"{name} does not answer")]
    reasons = []
    if info.get("role", "master") != "master":
        reasons.append(Reason("bad", f"{name} is a replica and accepts no writes: submits are refused"))
    if not durability.writes(info):
        text = f"{name} cannot write its append-only file: submits are refused; do not restart it now"
        reasons.append(Reason("bad", text, UNWRITTEN))
    limit, used = info.get("maxmemory", 0), info.get("used_memory", 0)
    if limit and used >= limit:
        reasons.append(
            Reason("bad", f"The memory of {name} is full: submits are refused, running jobs still finish")
        )
    elif limit and used >= NEARLY_FULL * limit:
        reasons.append(
            Reason("warn", f"The memory of {name} is nearly full: {used / limit:.0%} of its maxmemory")
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        text = f"{name} may evict keys ({policy}) and lose accepted jobs: set maxmemory-policy to noeviction"
        reasons.append(Reason("warn", text))
    return reasons


def _of_queue(settings: Settings, model: str, depth: Depth) -> list[Reason]:
    jobs = depth.waiting + depth.deferred + depth.running
    reasons = []
    if depth.damage:
        public = f"The queue of {model} cannot be used, because another program wrote to Redis"
        todo = "Delete or rename that key."
        reasons.append(Reason("bad", f"{public}: {depth.damage}", todo, public=public))
    for used, limit, what in (
        (jobs, settings.max_queued_jobs, "job"),
        (depth.bytes, settings.max_queued_bytes, "byte"),
        (depth.inputs, settings.max_queued_inputs, "input"),
    ):
        if used >= NEARLY_FULL * limit:
            full = "full: submits are refused" if used >= limit else "nearly full"
            public = f"The queue of {model} is {full}"
            text = f"{public} ({used:,} of {counted(limit, what)})"
            reasons.append(Reason("warn", text, public=public))
    return reasons


def lost(settings: Settings) -> Reason:
    """The reason shown for a running job whose worker seems lost."""
    return Reason("warn", f"The worker of this job seems lost: {_rerun(settings, 1)}")


def _rerun(settings: Settings, jobs: int) -> str:
    """What happens to jobs whose worker was lost, in words."""
    when = f"({settings.lease:g} s after the last renewal)"
    return (
        f"the job runs again when its lease ends {when}"
        if jobs == 1
        else f"the jobs run again when their leases end {when}"
    )


def _of_workers(settings: Settings, model: str, depth: Depth, beats: Sequence[Heartbeat]) -> list[Reason]:
    alive = responding(beats)
    silent = []
    for beat in (beat for beat in beats if alive and beat not in alive):
        late = f"of {model} has sent no heartbeat for {beat.age:.0f} s"
        silent.append(Reason("warn", f"Worker {_name(beat)} {late}", public=f"A worker {late}"))
    if reason := unserved(model, beats):
        affected = _affected_jobs(depth)
        return [*silent, reason._replace(text=reason.text + affected, public=reason.public or reason.text)]
    left = []
    if depth.late:
        seem = "seems to have lost its" if depth.late == 1 else "seem to have lost their"
        text = f"{counted(depth.late, 'job')} of {model} {seem} worker: {_rerun(settings, depth.late)}"
        public = f"Jobs of {model} seem to have lost their worker: {_rerun(settings, 2)}"
        left.append(Reason("warn", text, public=public))
    public = f"An engine of {model} is restarting"
    restarting = [
        Reason("warn", f"{public} ({_name(beat)})", public=public)
        for beat in alive
        if beat.engine == "restarting"
    ]
    retired = []
    for beat in (beat for beat in alive if beat.retired):
        why, again = _fault([beat])
        text = f"An engine of {model} is retired"
        retired.append(Reason("warn", f"{text} ({_name(beat)}){why}", public=f"{text}{again}"))
    return silent + left + restarting + retired


def _name(beat: Heartbeat) -> str:
    """The worker's name, as in the table of workers."""
    return f"{beat.host}:{beat.pid}"


def _affected_jobs(depth: Depth) -> str:
    """The jobs that are not run, in words: waiting jobs, and jobs that a worker had taken."""
    waiting = depth.waiting + depth.deferred
    parts = [f"{counted(waiting, 'job')} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
    if depth.running:
        parts.append(f"{counted(depth.running, 'job')} {'was' if depth.running == 1 else 'were'} running")
    return f"; {' and '.join(parts)}" if parts else ""


def _fault(retired: Sequence[Heartbeat]) -> tuple[str, str]:
    """Why the model is retired, and when loading is retried, in words; and without the reason."""
    first = min(retired, key=lambda beat: beat.engine_retry)
    again = f"; it is loaded again at {time_of_day(first.engine_retry)}"
    return f": {first.engine_fault.rstrip('.')}{again}", again


def _states(beats: Sequence[Heartbeat]) -> str:
    words = {"loading": "loading its model"}
    states = {words.get(beat.engine, beat.engine) for beat in beats if beat.engine != "restarting"}
    if restarting := [beat for beat in beats if beat.engine == "restarting"]:
        longest = max(restarting, key=lambda beat: beat.restarting_seconds)
        loading = f"the last load took {longest.load_seconds:g} s"
        states.add(f"restarting for {longest.restarting_seconds:.0f} s ({loading})")
    return ", ".join(sorted(states))
