"""Formats the figures as text for a terminal of 110 columns."""

from bench.generation.summary import Line, Streaming, Summary
from bench.generation.workload import Workload
from bench.summary import Spread
from bench.table import rate


def draw(summary: Summary, machine: dict[str, str], workload: Workload, rounds: int) -> str:
    limits = f"{min(workload.limits)} to {max(workload.limits)}"
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cores']} cores; torch {machine['torch']}, "
            f"transformers {machine['transformers']}; load before: {machine['load before']}",
            f"medians of {rounds} rounds (least..most), ratios within a round" if rounds > 1 else "one round",
            "",
            f"GENERATION: a Llama of 6 layers x 256, {len(workload.prompts)} prompts, distinct limits of "
            f"{limits} tokens, greedy, threads: {summary.threads}",
            f"{'':54}{'tokens/s':>18}{'of one by one':>16}{'of best static':>16}{'equal answers':>15}",
            *map(_line, summary.lines),
            "",
            *_streams(summary.streams),
            *(f"NOT MEASURED: {name}: {reason}" for name, reason in summary.missing.items()),
        ]
    )


def _line(line: Line) -> str:
    return (
        f"{line.name:54}{rate(line.rate):>18}{_times(line.of_alone):>16}{_times(line.of_static):>16}"
        f"{f'{line.equal} of {line.compared}':>15}"
    )


def _streams(streams: list[Streaming]) -> list[str]:
    if not streams:
        return []
    return [
        "STREAMS: milliseconds to the first token, and between a stream's pieces",
        f"{'':54}{'tokens/s':>16}{'first p50':>12}{'p95':>12}{'between p95':>13}{'requests':>10}",
        *(
            f"{f'{each.server}, {each.load}':54}{rate(each.rate):>16}{each.first_p50.median:12.1f}"
            f"{each.first_p95.median:12.1f}"
            f"{f'{each.between_p95.median:.1f}' if each.between_p95 else '':>13}{each.requests:10}"
            for each in streams
        ),
        "",
    ]


def _times(figure: Spread) -> str:
    if figure.least == figure.most:
        return f"{figure.median:.2f}"
    return f"{figure.median:.2f} ({figure.least:.2f}..{figure.most:.2f})"
