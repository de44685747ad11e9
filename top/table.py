"""The table: shows readings. Data from the server is shown as plain text, never as markup."""

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from top.figures import WORKER_PREFIX, Bound, Figures, Percentiles, between
from top.readings import Level, Reading

NO_VALUE = "–"  # noqa: RUF001 - a dash as wide as a figure

COLOURS: dict[Level, str] = {"degraded": "yellow", "bad": "red"}

SERVING = ("ready", "busy")
"""States of an engine that can run a job."""


def screen(url: str, old: Reading, new: Reading, fault: str = "") -> RenderableType:
    """Returns the whole screen; `fault` is the reason why there is no newer reading."""
    parts: list[RenderableType] = [_headline(url, old, new, fault)]
    if new.models:
        parts += [_models(old, new), _workers(new)]
        none = Text("No job with failed inputs among the newest 100.", "dim")
        parts.append(_failures(new) if new.failures else none)
    return Group(*parts)


def _headline(url: str, old: Reading, new: Reading, fault: str) -> Text:
    line = Text(plain(url) + "  ", "bold")
    if fault:
        return line.append(fault, "bold red")
    if new.faults:
        for each in sorted(new.faults.values(), key=lambda fault: fault.level != "bad"):
            line.append(f"{plain(each.reason)}. ", f"bold {COLOURS[each.level]}")
        return line
    line.append("healthy", "bold green")
    return line.append(f"  rates and percentiles of the last {new.at - old.at:.0f} s", "dim")


def _table(title: str, words: Sequence[str], figures: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    for name in words:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)  # keep numbers and units together
    return table


def _models(old: Reading, new: Reading) -> Table:
    latencies = "queued\np50", "\np95", "compute\np50", "\np95"
    figures = "\nwait", "\noldest", "\nrun", "\ndone/s", *latencies, "\nbatch", "\npad", "\nfail"
    table = _table("Models", ["\nmodel", "\nhealth"], figures)
    for model in new.models:
        name = model["name"]
        fault = new.faults.get(f"model {name}")
        oldest = new.metrics.get("batchline_queue_oldest_age_seconds", {}).get((name,), 0.0)
        table.add_row(
            plain(name),
            Text(fault.level, COLOURS[fault.level]) if fault else Text("ok", "green"),
            str(model["queue"]["waiting"]),
            duration(oldest) if model["queue"]["waiting"] else NO_VALUE,
            str(model["queue"]["running"]),
            *_figures(between(old, new, name)),
        )
    return table


def _figures(figures: Figures) -> list[str]:
    return [
        f"{figures.done:.2g}" if figures.done < 1 else f"{figures.done:.1f}",
        *_percentiles(figures.queued),
        *_percentiles(figures.compute),
        NO_VALUE if figures.batch is None else f"{figures.batch:.1f}",
        *(NO_VALUE if share is None else f"{share:.0%}" for share in (figures.padding, figures.failed)),
    ]


def _percentiles(of: Percentiles) -> list[str]:
    return [NO_VALUE if bound is None else at_most(bound) for bound in (of.p50, of.p95)]


def _workers(new: Reading) -> Table:
    figures = "items/s computing", "budget", "threads", "up", "failed", "restarts", "lost"
    table = _table("Workers", ["worker", "model", "engine", "device"], figures)
    for model in new.models:
        for worker in model["workers"]:
            table.add_row(*_worker(new, model["name"], worker))
    if not table.row_count:
        table.add_row(Text("no live worker", "red"))
    return table


def _device(worker: dict[str, Any]) -> str:
    """Device and dtype; an older server reports no backend."""
    backend = worker.get("backend", "")
    return f"{worker['device']} {worker['dtype']}" + (f" {backend}" if backend not in ("", "torch") else "")


def _worker(new: Reading, model: str, worker: dict[str, Any]) -> list[str | Text]:
    def metric(name: str) -> float:
        return new.metrics.get(WORKER_PREFIX + name, {}).get((model, worker["id"]), 0.0)

    started, state = metric("start_time_seconds"), worker["state"]
    failed = _by_reason(new, "inputs_failed_total", model, worker["id"])
    restarts, lost = metric("engine_restarts_total"), metric("lost_leases_total")
    return [
        plain(worker["id"]),
        plain(model),
        Text(plain(state), "green" if state in SERVING else "yellow"),
        plain(_device(worker)),
        f"{worker['items_per_second']:.1f}",
        f"{metric('token_budget'):.0f}",
        f"{metric('threads'):.0f}",
        duration(max(0.0, time.time() - started)) if started else NO_VALUE,
        Text(f"{sum(failed.values()):.0f}", "yellow" if failed else ""),
        Text(_restarts(new, restarts, model, worker["id"]), "yellow" if restarts else ""),
        Text(f"{lost:.0f}", "yellow" if lost else ""),
    ]


def _restarts(new: Reading, restarts: float, model: str, worker: str) -> str:
    """Returns the number of restarts, with the reasons."""
    reasons = _by_reason(new, "engine_restart_reasons_total", model, worker)
    by_reason = ", ".join(f"{count:.0f} {plain(reason)}" for reason, count in sorted(reasons.items()))
    return f"{restarts:.0f} ({by_reason})" if by_reason else f"{restarts:.0f}"


def _by_reason(new: Reading, name: str, model: str, worker: str) -> dict[str, float]:
    """Returns a worker's counter by reason, without zeros."""
    series = new.metrics.get(WORKER_PREFIX + name, {})
    return {key[2]: count for key, count in series.items() if key[:2] == (model, worker) and count}


def _failures(new: Reading) -> Table:
    columns = ["job", "model", "finished (UTC)", "failed", "reason"]
    table = _table("Jobs with failed inputs, newest first", columns)
    for failure in new.failures:
        finished = failure.finished[:19].replace("T", " ")
        failed = f"{failure.failed} of {failure.inputs}"
        row = plain(failure.id), plain(failure.model), plain(finished), failed
        table.add_row(*row, Text(plain(failure.reason), "red", no_wrap=True, overflow="ellipsis"))
    return table


def at_most(bound: Bound) -> str:
    """Formats a bound: `≤35 ms`, or `>30 min` above the highest bound."""
    return f"{'>' if bound.above else '≤'}{duration(bound.seconds)}"


def duration(seconds: float) -> str:
    """Formats a duration with its unit and about three digits."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, _ = divmod(int(seconds), 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"


def plain(text: str) -> str:
    """Replaces control characters: jobs' errors may contain terminal commands."""
    return "".join(char if char.isprintable() else " " for char in text)
