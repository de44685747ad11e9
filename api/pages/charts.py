"""The charts and sparklines of the last 15 minutes as SVG paths, drawn without scripts.

A chart has WIDTH x HEIGHT units and is stretched to the available space. Its texts are in HTML beside it.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from api.pages.model_figures import of_work
from api.pages.rendering import LONGEST, at_most
from jobs.monitoring.history import Moment, Series
from jobs.wording import counted, noun

SPAN = 900.0
"""Seconds that a chart shows."""
NOUNS = ("jobs", "inputs")
"""Units that are words and have a singular."""
GAP = 15.0
"""Seconds between two samples above which no line joins them, because samples are missing."""
WIDTH, HEIGHT = 300.0, 72.0
STEP = 15.0
"""Seconds of each point of a sparkline."""

Point = tuple[float, float | None]
"""Unix seconds and a value, or None without a value."""


class Line(NamedTuple):
    """SVG paths: `path` of joined points, `dots` of single points. `last` is the newest value in words."""

    name: str
    style: str
    path: str
    dots: str
    last: str


class Chart(NamedTuple):
    """One chart. `top` is the value at the upper edge, as text with its unit. The lower edge is 0."""

    title: str
    description: str
    unit: str
    top: str
    lines: list[Line]
    summary: str
    """The chart as text, for screen readers."""
    now: float
    points: str
    """All points, to show the values at a time: Unix time and each line's value, `at|value|value;...`."""
    span: float = SPAN


class Trend(NamedTuple):
    """A line without axes: SVG paths as in `Line`, the highest value, and the line as text."""

    path: str
    dots: str
    highest: int
    summary: str


class Plan(NamedTuple):
    """What a chart shows. Values with the unit `ms` are bounds of percentiles."""

    title: str
    description: str
    unit: str
    lines: tuple[tuple[str, str, str], ...]
    """Name, style and figure of each line."""


PLANS = (
    Plan(
        "Queue",
        "Jobs that wait for a worker, and jobs that a worker has claimed",
        "jobs",
        (("waiting", "first", "waiting"), ("running", "second", "running")),
    ),
    Plan(
        "Done",
        "Jobs that ended, inputs that were run, and inputs that failed, per second",
        "/s",
        (
            ("jobs", "first", "jobs_rate"),
            ("inputs", "second", "items_rate"),
            ("failed", "third", "failed_rate"),
        ),
    ),
    Plan(
        "Queued",
        "Time from submit to start. Half of the jobs took at most p50, 95 % at most p95",
        "ms",
        (("p50", "first", "queued_p50"), ("p95", "second", "queued_p95")),
    ),
    Plan(
        "Computing",
        "Compute time of a job's batches. Half of the jobs took at most p50, 95 % at most p95",
        "ms",
        (("p50", "first", "compute_p50"), ("p95", "second", "compute_p95")),
    ),
    Plan(
        "Batch size",
        "Mean number of inputs in a batch",
        "inputs",
        (("mean", "first", "batch_size"),),
    ),
    Plan(
        "Padding",
        "Share of padding among the tokens that the model computed",
        "%",
        (("padding", "first", "padding"),),
    ),
)


def charts(series: Series) -> list[Chart]:
    """One chart for each plan."""
    moments = [moment for moment in series.moments if series.now - moment.at <= SPAN]
    values = [(moment.at, _values(moment)) for moment in moments]
    return [_chart(plan, series.now, values) for plan in PLANS]


def _values(moment: Moment) -> dict[str, float | None]:
    depth = moment.sample.depth
    now = {"waiting": float(depth.waiting + depth.deferred), "running": float(depth.running)}
    return now | of_work(moment.sample.work, moment.seconds)


def _chart(plan: Plan, now: float, values: Sequence[tuple[float, dict[str, float | None]]]) -> Chart:
    in_words = at_most if plan.unit == "ms" else partial(amount, unit=plan.unit)
    drawn = {figure: [(at, each[figure]) for at, each in values] for _, _, figure in plan.lines}
    known = [value for points in drawn.values() for _, value in points if value is not None]
    highest = max(known, default=None)
    top = _top(highest or 0.0, plan.unit)
    lines = [
        Line(name, style, *paths(drawn[figure], now, top), in_words(_newest(drawn[figure])))
        for name, style, figure in plan.lines
    ]
    latest = ", ".join(f"{line.name} {line.last}" for line in lines)
    summary = f"{plan.title}, last 15 minutes: now {latest}; highest {in_words(highest)}"
    points = ";".join(
        f"{at:.1f}|{'|'.join(in_words(each[figure]) for _, _, figure in plan.lines)}" for at, each in values
    )
    return Chart(plan.title, plan.description, plan.unit, amount(top, plan.unit), lines, summary, now, points)


def trend(samples: Sequence[tuple[float, int]], now: float, waiting: int) -> Trend:
    """The waiting jobs at each sample and now: the highest number of each STEP seconds, to show each peak."""
    highest: dict[float, int] = {}
    for at, jobs in [*samples, (now, waiting)]:
        if now - at <= SPAN:
            end = STEP * (at // STEP + 1)
            highest[end] = max(jobs, highest.get(end, 0))
    peak = max(highest.values())
    points = [(min(end, now), float(jobs)) for end, jobs in highest.items()]
    summary = f"Waiting jobs, last 15 minutes: at most {counted(peak, 'job')}"
    return Trend(*paths(points, now, rounded_up(peak)), peak, summary)


def paths(
    points: Iterable[Point], now: float, top: float, span: float = SPAN, gap: float = GAP
) -> tuple[str, str]:
    """SVG paths: one of points joined by lines, but not across a gap; one of short runs, as dots.

    A dot is a line of length 0 with round caps, because a circle would be stretched with the chart.
    """
    runs: list[list[tuple[float, str]]] = []
    before: float | None = None
    for at, value in points:
        if value is None:
            before = None
            continue
        x = WIDTH * (1 - (now - at) / span)
        y = HEIGHT * (1 - min(value, top) / top)
        if before is None or at - before > gap:
            runs.append([])
        runs[-1].append((at, f"{x:.1f} {y:.1f}"))
        before = at
    joined = "".join("M" + "L".join(place for _, place in run) for run in runs if len(run) > 1)
    short = [run for run in runs if run[-1][0] - run[0][0] < gap]
    return joined, "".join(f"M{place}h0" for run in short for _, place in run)


def _top(highest: float, unit: str) -> float:
    """The value of the upper edge."""
    if unit == "%" and highest > 50:
        return 100.0
    return rounded_up(LONGEST if math.isinf(highest) else highest)


def rounded_up(value: float) -> float:
    """The value rounded up to 1, 2, 5, 10, 20, ..."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def amount(value: float | None, unit: str) -> str:
    """The value as text with its unit, or a dash for None."""
    if value is None:
        return "–"  # noqa: RUF001 - the dash is intended
    if unit == "ms" and value >= 1_000:
        value, unit = value / 1_000, "s"
    whole = value >= 100 or unit == "%" or value == int(value)
    number = f"{value:,.0f}" if whole else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
    unit = noun(number, unit.removesuffix("s")) if unit in NOUNS else unit
    return f"{number}{'' if unit == '/s' else ' '}{unit}"


def _newest(points: Sequence[Point]) -> float | None:
    return points[-1][1] if points else None
