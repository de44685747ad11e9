"""Formats the comparison as text for a terminal of 110 columns."""

from bench.peers import by_clients
from bench.peers.rounds import CLIENTS
from bench.peers.summary import Line, Summary
from bench.summary import Spread
from bench.table import percent, rate


def draw(summary: Summary, machine: dict[str, str], versions: dict[str, dict[str, str]], rounds: int) -> str:
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cores']} cores; load before: {machine['load before']}",
            f"medians of {rounds} rounds (least..most), ratios within a round" if rounds > 1 else "one round",
            "",
            *_served(summary),
            *by_clients.draw(summary.by_clients),
            *_tried(summary),
            *_echoed(summary),
            *_versions(versions),
            *(f"NOT MEASURED: {name}: {reason}" for name, reason in summary.missing.items()),
        ]
    )


def _served(summary: Summary) -> list[str]:
    return [
        f"SERVED: all-MiniLM-L6-v2, mean pooling, fp32, one text in a request, {CLIENTS} clients,"
        f" {summary.threads} threads",
        f"{'':46}{'texts/s':>16}{'of ceiling':>15}{'Batchline: times':>19}   p50    p99 ms",
        f"{'offline, the ceiling':46}{rate(summary.ceiling):>16}",
        *(line for each in summary.served for line in _contender(each, summary)),
        "",
    ]


def _contender(line: Line, summary: Summary) -> list[str]:
    name = f"{line.name} {line.setting}".rstrip()
    return _row(name, line, f"{percent(line.of_ceiling):>15}" if line.of_ceiling else "")


def _row(name: str, line: Line, ratio: str) -> list[str]:
    notes = []
    if line.rate is None:
        return [f"{name:46}{'not measured':>16}: {line.problem}"]
    row = f"{name:46}{rate(line.rate):>16}{ratio}{_times(line.behind):>19}{line.p50:6.0f} {line.p99:6.0f}"
    if not line.right:
        notes.append(f"WRONG ANSWERS: cosine {line.cosine:.6f} to the offline embeddings")
    if line.problem:
        notes.append(f"in {line.rounds} rounds only: {line.problem}")
    return [row, *(f"    ^ {note}" for note in notes)]


def _tried(summary: Summary) -> list[str]:
    lines = [
        f"{name:16}" + "  ".join(f"{setting}: {rate:.0f}" for setting, rate in rates.items())
        for name, rates in summary.tried.items()
        if rates
    ]
    return ["TRIED in the first round, texts/s", *lines, ""] if lines else []


def _echoed(summary: Summary) -> list[str]:
    return [
        f"ECHO: a model that computes nothing, {CLIENTS} clients",
        f"{'':46}{'requests/s':>16}{'Batchline: times':>19}   p50    p99 ms",
        *(line for each in summary.echoed if not each.stores for line in _row(each.name, each, "")),
        "",
        f"DURABLE JOBS: the same; jobs are kept in Valkey with an append-only file, {CLIENTS} clients",
        f"{'':46}{'jobs/s':>16}{'Batchline: times':>19}   p50    p99 ms",
        *(line for each in summary.echoed if each.stores for line in _row(each.name, each, "")),
        "",
    ]


def _versions(versions: dict[str, dict[str, str]]) -> list[str]:
    lines = [
        f"{name:16}" + ", ".join(f"{package} {version}" for package, version in versions.items())
        for name, versions in versions.items()
    ]
    return ["VERSIONS", *lines]


def _times(figure: Spread | None) -> str:
    if figure is None:
        return "?"
    if figure.least == figure.most:
        return f"{figure.median:.2f}"
    return f"{figure.median:.2f} ({figure.least:.2f}..{figure.most:.2f})"
