"""Formats the figures as text for a terminal of 110 columns."""

from bench.summary import ADDED_ALONE, TIMES_ALONE, Row, Spread, Summary

PROCESSES = ("api", "valkey", "worker", "engine", "load")


def draw(summary: Summary, machine: dict[str, str], rounds: int) -> str:
    return "\n".join([*_head(machine, rounds), *_ceiling(summary), *_served(summary), *_overhead(summary)])


def _head(machine: dict[str, str], rounds: int) -> list[str]:
    names = ("python", "torch", "transformers", "valkey")
    return [
        f"{machine['cpu']}, {machine['cores']} cores; "
        + ", ".join(f"{name} {machine[name]}" for name in names)
        + f"; load before: {machine['load before']}",
        f"medians of {rounds} rounds (least..most)" if rounds > 1 else "one round",
        "",
    ]


def _ceiling(summary: Summary) -> list[str]:
    unsorted = summary.unsorted.items()
    return [
        f"OFFLINE: all-MiniLM-L6-v2, mean pooling, fp32, {summary.threads} threads, sorted by length",
        "batch size " + "".join(f"{size:>16}" for size in summary.sizes),
        "texts/s    " + "".join(f"{rate(figure):>16}" for figure in summary.sizes.values()),
        f"ceiling    {rate(summary.ceiling):>16}",
        "unsorted   " + "".join(f"{f'{size}: {figure.median:.0f}':>11}" for size, figure in unsorted),
        "",
    ]


def _served(summary: Summary) -> list[str]:
    return [
        "SERVED: POST /v1/jobs?wait=60, one text each",
        f"{'clients':13}{'texts/s':>18} {'of ceiling':>18}   p50    p95    p99 ms  batch  padding  mixture",
        *(
            f"{row.name:13}{rate(row.figures['rate']):>18} {percent(row.figures['ratio']):>18}"
            + "".join(f"{row.figures[name].median:7.0f}" for name in ("p50", "p95", "p99"))
            + f"  {row.figures['batch'].median:7.1f}  {row.figures['waste'].median:6.1%}"
            + f"  {row.figures['mixture'].median:7.2f}"
            for row in summary.served
        ),
        "",
        *_lone(summary.lone),
        *_allowed(summary.served),
        *_costs(summary.served),
    ]


def _lone(row: Row) -> list[str]:
    """Formats the time of one text at a time: offline with each backend, and served to one client."""
    times = {name: row.figures[name] for name in ("torch", "onnxruntime", "served", "allowed")}
    return [
        "ONE AT A TIME: mean ms of a text offline, and of a request of 1 client;"
        f" aim: {TIMES_ALONE:g} x the better one + {ADDED_ALONE:g} ms",
        f"{'torch':>18}{'ONNX Runtime':>18}{'served':>18}{'aim':>18}{'served / better one':>24}",
        "".join(f"{milliseconds(figure):>18}" for figure in times.values())
        + f"{percent(row.figures['ratio']):>24}",
        "",
    ]


def _allowed(rows: list[Row]) -> list[str]:
    """Formats each number of clients beside the unsorted offline rate that so many allow."""
    return [
        "BESIDE WHAT SO MANY CLIENTS ALLOW: offline, unsorted, batches of half as many texts (half travel)",
        f"{'clients':13}{'batch':>7}{'offline/s':>20}{'served / that':>20}"
        f"{'best size up to it':>20}{'served / that':>20}",
        *(
            f"{row.name:13}{row.figures['allowed size'].median:7.0f}"
            f"{rate(row.figures['allowed rate']):>20}{percent(row.figures['allowed ratio']):>20}"
            f"{row.figures['best size'].median:20.0f}{percent(row.figures['best ratio']):>20}"
            for row in rows
        ),
        "",
    ]


def _overhead(summary: Summary) -> list[str]:
    return [
        "OVERHEAD: a model that echoes, beside a FastAPI endpoint that echoes; lists in items/s",
        f"{'clients':13}{'echo/s':>18} {'plain/s':>18} {'of plain':>14}   p50 ms  plain p50  batch",
        *(
            f"{row.name:13}{rate(row.figures['rate']):>18} {rate(row.figures['plain rate']):>18}"
            f" {percent(row.figures['ratio']):>14}  {row.figures['p50'].median:7.2f}"
            f"    {row.figures['plain p50'].median:7.2f}  {row.figures['batch'].median:5.1f}"
            for row in summary.overhead
        ),
        *_costs(summary.overhead),
    ]


def _costs(rows: list[Row]) -> list[str]:
    """Formats processor time and cores of each process."""
    lines = [f"{'':13}CPU ms per request (cores kept busy)"]
    lines.append(f"{'clients':13}" + "".join(f"{name:>16}" for name in PROCESSES))
    for row in rows:
        cells = (
            f"{row.figures[f'cpu {name}'].median:.2f} ({row.figures[f'cores {name}'].median:.2f})"
            for name in PROCESSES
        )
        lines.append(f"{row.name:13}" + "".join(f"{cell:>16}" for cell in cells))
    return [*lines, ""]


def rate(figure: Spread) -> str:
    if figure.least == figure.most:
        return f"{figure.median:.0f}"
    return f"{figure.median:.0f} ({figure.least:.0f}..{figure.most:.0f})"


def milliseconds(figure: Spread) -> str:
    if figure.least == figure.most:
        return f"{figure.median:.1f}"
    return f"{figure.median:.1f} ({figure.least:.1f}..{figure.most:.1f})"


def percent(figure: Spread) -> str:
    if figure.least == figure.most:
        return f"{figure.median:.0%}"
    return f"{figure.median:.0%} ({100 * figure.least:.0f}..{100 * figure.most:.0f})"
