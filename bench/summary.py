"""Computes medians and ranges over the rounds. Ratios are computed within a round: machine speed varies."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from bench.allowed import UNSORTED, Allowed, allowed, best_up_to
from bench.ceiling import SIZES
from bench.plan import Load
from bench.rounds import CLIENTS, ECHO_CLIENTS, LIST, Round
from bench.serving import Served

TIMES_ALONE, ADDED_ALONE = 1.25, 2.0
"""A lone client's aim: the mean time of the best backend's pass, times this, plus milliseconds."""


class Spread(msgspec.Struct):
    """Median, minimum and maximum of one figure over the rounds."""

    median: float
    least: float
    most: float


class Row(msgspec.Struct):
    """One row of a table: figures by name."""

    name: str
    figures: dict[str, Spread]


class Summary(msgspec.Struct):
    threads: int
    ceiling: Spread
    sizes: dict[int, Spread]
    """Batch size -> texts per second of the offline runs."""
    unsorted: dict[int, Spread]
    """The same without sorting."""
    lone: Row
    """Milliseconds of one text alone: offline by backend, and served to one client."""
    served: list[Row]
    overhead: list[Row]


def summarize(rounds: list[Round]) -> Summary:
    def over(figure: Callable[[Round], float]) -> Spread:
        return spread(map(figure, rounds))

    return Summary(
        threads=rounds[0].ceiling.threads,
        ceiling=over(lambda each: each.ceiling.rate),
        sizes={size: spread(each.ceiling.rates[size] for each in rounds) for size in SIZES},
        unsorted={size: spread(each.ceiling.unsorted[size] for each in rounds) for size in UNSORTED},
        lone=_row("1", [_lone(each) for each in rounds]),
        served=[_row(str(clients), [served(each, clients) for each in rounds]) for clients in CLIENTS],
        overhead=[
            *(_row(str(clients), [_echo(each, clients) for each in rounds]) for clients in ECHO_CLIENTS),
            _row(f"lists of {LIST}", [_beside(each.echo_lists, each.plain_lists, LIST) for each in rounds]),
        ],
    )


def spread(values: Iterable[float]) -> Spread:
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def served(each: Round, clients: int) -> dict[str, float]:
    """Returns the figures of one measurement beside the ceiling and beside what so many clients allow."""
    one = each.served[clients]
    same, best = allowed(clients, each.ceiling), best_up_to(clients, each.ceiling)
    figures = _figures(one) | {"ratio": one.rate / each.ceiling.rate}
    return figures | _offline("allowed", one, same) | _offline("best", one, best)


def _lone(each: Round) -> dict[str, float]:
    torch, onnx, served = 1000 / each.ceiling.unsorted[1], 1000 / each.lone, 1000 / each.served[1].rate
    best = min(torch, onnx)
    return {
        "torch": torch,
        "onnxruntime": onnx,
        "served": served,
        "ratio": served / best,
        "allowed": TIMES_ALONE * best + ADDED_ALONE,
    }


def _offline(name: str, one: Served, offline: Allowed) -> dict[str, float]:
    return {
        f"{name} size": offline.size,
        f"{name} rate": offline.rate,
        f"{name} ratio": one.rate / offline.rate,
    }


def _echo(each: Round, clients: int) -> dict[str, float]:
    return _beside(each.echo[clients], each.plain[clients], 1)


def _beside(echo: Served, plain: Load, items: int) -> dict[str, float]:
    plain_rate = plain.rate * items
    return _figures(echo) | {
        "ratio": echo.rate / plain_rate,
        "plain rate": plain_rate,
        "plain p50": plain.p50,
        "plain cpu load": plain.cpu * 1000 / plain.answered,
    }


def _figures(one: Served) -> dict[str, float]:
    figures: dict[str, Any] = {
        "rate": one.rate,
        "p50": one.load.p50,
        "p95": one.load.p95,
        "p99": one.load.p99,
    }
    figures |= {"batch": one.batch, "waste": one.waste, "mixture": one.load.mixture}
    figures |= {f"cpu {name}": value for name, value in one.cpu.items()}
    figures |= {f"cores {name}": value for name, value in one.cores.items()}
    return figures


def _row(name: str, rounds: list[dict[str, float]]) -> Row:
    return Row(name, {figure: spread(each[figure] for each in rounds) for figure in rounds[0]})
