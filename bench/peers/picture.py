"""The comparison as an SVG: a bar for each contender, the fastest on top, the offline ceiling as a line."""

from bench.peers.summary import Line, Summary
from bench.picture import FILL, INK, LINE, SOFT, text

WIDTH, LEFT, RIGHT, TOP = 720, 270, 64, 84
ROW, BAR = 30, 20
OTHER = "#b5c0cc"


def draw(summary: Summary, machine: dict[str, str]) -> str:
    lines = [line for line in summary.served if line.rate is not None and line.right]
    most = max([summary.ceiling.most, *(line.rate.most for line in lines if line.rate)])
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + ROW * len(lines) + 24
    ceiling = LEFT + summary.ceiling.median * scale
    title = "all-MiniLM-L6-v2, 64 clients: texts a second"
    where = f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, {summary.threads} threads"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
            f' aria-label="{title}" font-family="system-ui, sans-serif">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            text(24, 28, title, size=16, weight=600, anchor="start"),
            text(24, 48, where, size=12, fill=SOFT, anchor="start"),
            *(part for number, line in enumerate(lines) for part in _bar(line, TOP + ROW * number, scale)),
            f'<path d="M{ceiling:.1f} {TOP - 6}V{height - 20}" stroke="{LINE}" stroke-width="2"'
            ' stroke-dasharray="6"/>',
            text(ceiling, TOP - 12, f"offline {summary.ceiling.median:.0f}/s", fill=LINE, anchor="end"),
            "</svg>",
            "",
        ]
    )


def _bar(line: Line, top: float, scale: float) -> list[str]:
    assert line.rate is not None
    own, middle, base = not line.setting, top + BAR / 2, top + BAR / 2 + 4
    width, least, most = (value * scale for value in (line.rate.median, line.rate.least, line.rate.most))
    name = f"{line.name} {line.setting}".rstrip()
    fill = FILL if own else OTHER
    return [
        f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3" fill="{fill}"/>',
        f'<path d="M{LEFT + least:.1f} {middle}H{LEFT + most:.1f}" stroke="{INK}" stroke-width="1.5"/>',
        text(LEFT - 10, base, name, weight=600 if own else 400, anchor="end"),
        text(LEFT + most + 8, base, f"{line.rate.median:.0f}/s", size=12, anchor="start"),
    ]
