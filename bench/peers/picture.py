"""Draws the comparison as an SVG: a bar per contender, the fastest on top, and a line for the ceiling."""

from bench.peers.summary import Line, Summary
from bench.picture import FILL, INK, LINE, SOFT, text

WIDTH, RIGHT, TOP = 800, 64, 84
LETTER = 6.8
"""Mean width of a letter in a name, slightly more than in most fonts."""
ROW, BAR = 30, 20
OTHER = "#b5c0cc"


def draw(summary: Summary, machine: dict[str, str]) -> str:
    lines = [line for line in summary.served if line.rate is not None and line.right]
    most = max([summary.ceiling.most, *(line.rate.most for line in lines if line.rate)])
    left = 24 + LETTER * max(len(_name(line)) for line in lines)
    scale = (WIDTH - left - RIGHT) / most
    height = TOP + ROW * len(lines) + 24
    ceiling = left + summary.ceiling.median * scale
    title = "all-MiniLM-L6-v2, 64 clients: texts a second"
    where = f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, {summary.threads} threads"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
            f' aria-label="{title}" font-family="system-ui, sans-serif">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            text(24, 28, title, size=16, weight=600, anchor="start"),
            text(24, 48, where, size=12, fill=SOFT, anchor="start"),
            *(part for i, line in enumerate(lines) for part in _bar(line, left, TOP + ROW * i, scale)),
            f'<path d="M{ceiling:.1f} {TOP - 6}V{height - 20}" stroke="{LINE}" stroke-width="2"'
            ' stroke-dasharray="6"/>',
            text(ceiling, TOP - 12, f"offline {summary.ceiling.median:.0f}/s", fill=LINE, anchor="end"),
            "</svg>",
            "",
        ]
    )


def _name(line: Line) -> str:
    return f"{line.name} {line.setting}".rstrip()


def _bar(line: Line, left: float, top: float, scale: float) -> list[str]:
    assert line.rate is not None
    own, middle, base = not line.setting, top + BAR / 2, top + BAR / 2 + 4
    width, least, most = (value * scale for value in (line.rate.median, line.rate.least, line.rate.most))
    fill = FILL if own else OTHER
    return [
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3" fill="{fill}"/>',
        f'<path d="M{left + least:.1f} {middle}H{left + most:.1f}" stroke="{INK}" stroke-width="1.5"/>',
        text(left - 10, base, _name(line), weight=600 if own else 400, anchor="end"),
        text(left + most + 8, base, f"{line.rate.median:.0f}/s", size=12, anchor="start"),
    ]
