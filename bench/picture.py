"""Draws the served throughput and the ceiling as an SVG: one bar per number of clients."""

from html import escape

from bench.summary import Row, Spread, Summary

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 72, 84
BAR = 84
INK, SOFT, FILL, LINE = "#1f2933", "#66727f", "#4c8dd6", "#d9622b"


def draw(summary: Summary, machine: dict[str, str]) -> str:
    most = max([summary.ceiling.most, *(row.figures["rate"].most for row in summary.served)])
    step = _step(most)
    scale = (HEIGHT - TOP - BOTTOM) / (step * -(-most // step))

    def height(rate: float) -> float:
        return HEIGHT - BOTTOM - rate * scale

    ticks = [step * number for number in range(int(-(-most // step)) + 1)]
    space = (WIDTH - LEFT - RIGHT) / len(summary.served)
    parts = [_grid(tick, height(tick)) for tick in ticks]
    for number, row in enumerate(summary.served):
        rate = row.figures["rate"]
        middle = LEFT + space * (number + 0.5)
        parts += _bar(row, middle, height(rate.median), height(rate.least), height(rate.most))
    parts += _line(summary.ceiling, height(summary.ceiling.median))
    title = "all-MiniLM-L6-v2: texts a second, served and offline"
    where = f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, {summary.threads} threads"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            f' aria-label="{title}" font-family="system-ui, sans-serif">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            text(LEFT, 28, title, size=16, weight=600, anchor="start"),
            text(LEFT, 48, where, size=12, fill=SOFT, anchor="start"),
            *parts,
            text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "clients, one text in each request", fill=SOFT),
            "</svg>",
            "",
        ]
    )


def _bar(row: Row, middle: float, top: float, lowest: float, highest: float) -> list[str]:
    floor = HEIGHT - BOTTOM
    rate, ratio = row.figures["rate"].median, row.figures["ratio"].median
    left = middle - BAR / 2
    return [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{BAR}" height="{floor - top:.1f}" rx="3" fill="{FILL}"/>',
        f'<path d="M{middle:.1f} {lowest:.1f}V{highest:.1f}" stroke="{INK}" stroke-width="1.5"/>',
        text(middle, floor + 20, row.name, weight=600),
        text(middle, floor + 38, f"{rate:.0f}/s, {ratio:.0%}", size=12),
    ]


def _line(ceiling: Spread, y: float) -> list[str]:
    return [
        f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{LINE}" stroke-width="2" stroke-dasharray="6"/>',
        f'<path d="M{WIDTH - RIGHT - 140} 44h30" stroke="{LINE}" stroke-width="2" stroke-dasharray="6"/>',
        text(WIDTH - RIGHT, 48, f"offline {ceiling.median:.0f}/s", fill=LINE, weight=600, anchor="end"),
    ]


def _grid(tick: float, y: float) -> str:
    path = f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e8ec"/>'
    return path + text(LEFT - 8, y + 4, f"{tick:.0f}", size=12, fill=SOFT, anchor="end")


def _step(most: float) -> float:
    """Returns the distance of the grid lines: 1, 2 or 5 times a power of ten, for four to ten lines."""
    power = 10.0 ** (len(str(int(most))) - 2)
    return next((power * each for each in (1, 2, 5) if most / (power * each) <= 8), power * 10)


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 13,
    fill: str = INK,
    weight: int = 400,
    anchor: str = "middle",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
        f' text-anchor="{anchor}">{escape(words)}</text>'
    )
